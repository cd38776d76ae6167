"""Private Knot, BIND and PowerDNS processes on loopback, each in its own directory, ended by their process id."""

import base64
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.query
import dns.tsig

from mxfleet.lab import packages
from mxfleet.lab.image import cache_directory, ready
from tests.contract import powerdns

SECRET = base64.b64encode(b"a secret of thirty-two octets...").decode()
KEY_NAME = "mxfleet."


@dataclass(frozen=True)
class Nameserver:
    """A running primary (and, for some, what it notifies) with its zones and log."""

    kind: str
    port: int
    log: Path
    address: str = "127.0.0.1"

    @property
    def key(self) -> dns.tsig.Key:
        return dns.tsig.Key(KEY_NAME, SECRET, "hmac-sha256")


def program(name: str) -> list[str]:
    """The command that starts a server: the guests' own, out of the lab's image, else this machine's.

    Out of the image nothing is installed here, and nothing starts a second name server on port 53.
    """
    images = sorted(cache_directory(os.environ).glob("internet-*"))
    here = shutil.which(name, path="/usr/sbin:/usr/bin")
    if not images and here:
        return [here]
    if not images:
        packages.ensure(lambda _: os.environ.get("CI") == "true")
        images = [ready({"internet"}, cache_directory(os.environ), print)["internet"]]
    root = images[-1]
    loader = next(root.glob("usr/lib*/ld-linux*.so.*"))
    libraries = ":".join(str(path) for path in root.glob("usr/lib/*-linux-gnu"))
    return [str(loader), "--library-path", libraries, str(root / "usr" / "sbin" / name)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    kind: str,
    directory: Path,
    zones: dict[str, str],
    *,
    transfers: bool = True,
    addresses: tuple[str, ...] = ("127.0.0.1", "::1"),
    port: int = 0,
) -> Iterator[Nameserver]:
    """The server of this kind with these zones (name → zone file), answering before this returns."""
    port, log = port or free_port(), directory / "log"
    directory.mkdir(exist_ok=True)
    for name, text in zones.items():
        (directory / f"{name}.zone").write_text(text)
    kinds = {"knot": _knot, "bind": _bind, "powerdns": _powerdns}
    command = kinds[kind](directory, port, addresses, list(zones), transfers)
    environment = powerdns.environment() if kind == "powerdns" else None
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=directory, env=environment
        )
        try:
            _wait_for(addresses[0], port, list(zones), process, log)
            yield Nameserver(kind, port, log, addresses[0])
        finally:
            process.terminate()
            process.wait(10)


def _powerdns(
    directory: Path, port: int, addresses: tuple[str, ...], zones: list[str], transfers: bool
) -> list[str]:
    assert transfers
    return powerdns.command(directory, port, addresses, zones, (KEY_NAME, SECRET))


def _knot(
    directory: Path, port: int, addresses: tuple[str, ...], zones: list[str], transfers: bool
) -> list[str]:
    actions = "[update, transfer]" if transfers else "update"
    text = f"""
server:
    rundir: "{directory}"
    listen: [{", ".join(f"{address}@{port}" for address in addresses)}]
    tcp-workers: 1
    udp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: "{directory}/db"
key:
  - id: {KEY_NAME}
    algorithm: hmac-sha256
    secret: {SECRET}
acl:
  - id: ours
    key: {KEY_NAME}
    action: {actions}
template:
  - id: default
    storage: "{directory}"
    file: "%s.zone"
    acl: ours
    zonefile-sync: -1
    journal-content: changes
zone:
"""
    text += "".join(f"  - domain: {zone}\n" for zone in zones)
    (directory / "db").mkdir()
    (directory / "knot.conf").write_text(text)
    return [*program("knotd"), "-c", str(directory / "knot.conf")]


def _bind(
    directory: Path, port: int, addresses: tuple[str, ...], zones: list[str], transfers: bool
) -> list[str]:
    transfer = f'{{ key "{KEY_NAME}"; }}' if transfers else "{ none; }"
    v4 = " ".join(f"{address};" for address in addresses if ":" not in address)
    v6 = " ".join(f"{address};" for address in addresses if ":" in address) or "none;"
    text = f"""
options {{ directory "{directory}"; listen-on port {port} {{ {v4} }}; listen-on-v6 port {port} {{ {v6} }};
  pid-file none; session-keyfile none; recursion no; dnssec-validation no; notify no; }};
controls {{ }};
key "{KEY_NAME}" {{ algorithm hmac-sha256; secret "{SECRET}"; }};
"""
    text += "".join(
        f'zone "{zone}" {{ type primary; file "{directory}/{zone}.zone"; '
        f'allow-update {{ key "{KEY_NAME}"; }}; allow-transfer {transfer}; }};\n'
        for zone in zones
    )
    (directory / "named.conf").write_text(text)
    return [*program("named"), "-g", "-n", "1", "-c", str(directory / "named.conf")]


def _wait_for(
    address: str, port: int, zones: list[str], process: "subprocess.Popen[bytes]", log: Path
) -> None:
    end = time.monotonic() + 20
    waiting = list(zones)
    while waiting:
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the server did not start:\n{log.read_text()}")
        try:
            answer = dns.query.tcp(dns.message.make_query(waiting[0], "SOA"), address, port=port, timeout=1)
        except (OSError, EOFError):
            time.sleep(0.05)
            continue
        if answer.answer:
            waiting.pop(0)
        else:
            time.sleep(0.05)


def zone_text(name: str, *more: str, ttl: int = 300) -> str:
    """A small zone with its name server on loopback."""
    lines = [
        f"$ORIGIN {name}.",
        f"$TTL {ttl}",
        "@ SOA ns1 hostmaster 1 3600 600 86400 60",
        "@ NS ns1",
        "ns1 A 127.0.0.1",
        "ns1 AAAA ::1",
        *more,
    ]
    return "\n".join(lines) + "\n"
