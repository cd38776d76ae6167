"""PowerDNS of Debian, unpacked into the cache and run from there: nothing is installed, nothing starts on port 53."""

import fcntl
import os
import platform
import shutil
import subprocess
from pathlib import Path

from mxfleet.lab.image import cache_directory

PACKAGES = ("pdns-server", "pdns-backend-sqlite3")


def root() -> Path:
    """Where the server's files are: this machine's own, or those of Debian's packages unpacked."""
    if Path("/usr/sbin/pdns_server").exists():
        return Path("/")
    place = cache_directory(os.environ) / "pdns"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name("pdns.lock").open("w") as lock:  # tests in several processes want it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "usr" / "sbin" / "pdns_server").exists():
            _unpack(place)
    return place


def command(
    directory: Path, port: int, addresses: tuple[str, ...], zones: list[str], key: tuple[str, str]
) -> list[str]:
    """Prepare database, zones and key; the command that serves them."""
    base = root()
    modules = base / "usr" / "lib" / f"{platform.machine()}-linux-gnu" / "pdns"
    schema = base / "usr" / "share" / "pdns-backend-sqlite3" / "schema" / "schema.sqlite3.sql"
    (directory / "pdns.conf").write_text(
        f"""launch=gsqlite3
gsqlite3-database={directory}/pdns.sqlite3
module-dir={modules}
socket-dir={directory}
local-address={",".join(addresses)}
local-port={port}
dnsupdate=yes
allow-dnsupdate-from=127.0.0.0/8,::1/128
allow-axfr-ips=
daemon=no
guardian=no
write-pid=no
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
receiver-threads=1
distributor-threads=1
loglevel=5
"""
    )
    import sqlite3

    with sqlite3.connect(directory / "pdns.sqlite3") as database:
        database.executescript(schema.read_text())
    name, secret = key[0].rstrip("."), key[1]
    _control(directory, "import-tsig-key", name, "hmac-sha256", secret)
    for zone in zones:
        _control(directory, "load-zone", zone, str(directory / f"{zone}.zone"))
        for right in ("TSIG-ALLOW-DNSUPDATE", "TSIG-ALLOW-AXFR"):
            _control(directory, "set-meta", zone, right, name)
    return [str(base / "usr" / "sbin" / "pdns_server"), f"--config-dir={directory}"]


def environment() -> dict[str, str]:
    """With the libraries that came along."""
    libraries = root() / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
    return {**os.environ, "LD_LIBRARY_PATH": str(libraries)}


def _control(directory: Path, *words: str) -> None:
    program = str(root() / "usr" / "bin" / "pdnsutil")
    subprocess.run(
        [program, f"--config-dir={directory}", *words], check=True, capture_output=True, env=environment()
    )


def _unpack(place: Path) -> None:
    fetched = place.with_name("pdns-packages")
    (fetched / "partial").mkdir(parents=True, exist_ok=True)
    get = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "--download-only"]
    done = subprocess.run([*get, "-o", f"Dir::Cache::archives={fetched}", *PACKAGES], check=False)
    if done.returncode != 0:  # an image without package lists
        subprocess.run(["apt-get", "update", "-q"], check=True)
        subprocess.run([*get, "-o", f"Dir::Cache::archives={fetched}", *PACKAGES], check=True)
    unpacking = place.with_name("pdns.new")
    shutil.rmtree(unpacking, ignore_errors=True)
    for package in sorted(fetched.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", str(package), str(unpacking)], check=True)
    unpacking.rename(place)
    shutil.rmtree(fetched)
