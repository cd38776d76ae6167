"""Our own service as it ships, `mxd serve` with two workers, on loopback; it holds what it accepts."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from bench.measured import ROOT
from bench.receiving.certificate import Certificate
from bench.receiving.machine import Account, BenchError, free_ports, wait_until
from mxfleet.mxd import settings

WORKERS: Final = 2
# The tables by which the service may be told to gather evidence, as they are called; the first that exists is used.
EVIDENCE: Final = ("evidence", "authentication")


def evidence_table(resolver: str) -> dict[str, Any] | None:
    """Settings that turn SPF, DKIM and DMARC on; None where this mxd has none yet."""
    for name in EVIDENCE:
        if name in settings.Settings.__struct_fields__:
            return {name: {"resolver": resolver} if _has(name, "resolver") else {}}
    return None


def _has(table: str, key: str) -> bool:
    kind = settings.Settings.__annotations__[table]
    return key in getattr(kind, "__struct_fields__", ())


def interpreter(directory: Path) -> tuple[str, dict[str, str]]:
    """Debian's own Python where it has our version, for that is what nodes run; else the one that runs this.

    With it come the variables by which it finds what a node has, and nothing else of what is installed here.
    """
    debian, version = "/usr/bin/python3", "import sys; print(sys.version_info[:2])"
    done = subprocess.run([debian, "-c", version], capture_output=True, text=True, check=False)
    if done.stdout.strip() != str(sys.version_info[:2]):
        return sys.executable, {}
    paths = [Path(settings.__file__).parents[2], _node_packages(directory / "packages")]
    return debian, {"PYTHONPATH": ":".join(map(str, paths))}


def _node_packages(directory: Path) -> Path:
    """Links to the packages of locks/node.txt: what it may import is what a node has."""
    if not directory.exists():
        directory.mkdir()
        names = re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "locks" / "node.txt").read_text(), re.MULTILINE)
        for name in names:
            with contextlib.suppress(metadata.PackageNotFoundError):  # for other versions of Python
                installed = metadata.distribution(name)
                for top in {file.parts[0] for file in installed.files or () if file.parts[0] != ".."}:
                    (directory / top).symlink_to(Path(str(installed.locate_file(top))))
    return directory


class Exchange:
    """One life of the service, in an empty directory; ended with `end`."""

    name = "mxd"

    def __init__(
        self,
        directory: Path,
        account: Account,
        certificate: Certificate,
        resolver: str,
        extra: dict[str, Any],
    ) -> None:
        """Start it and wait until it serves."""
        self.directory, self.account = directory, account
        self.port, health = free_ports(2)
        (directory / "run").mkdir()
        path = directory / "mxd.toml"
        path.write_text(to_toml(_table(directory, certificate, resolver) | extra))
        settings.read(path)
        python, environment = interpreter(directory)
        command = [python, "-m", "mxfleet.mxd", "--settings", str(path), "serve"]
        command += [f"--listen=smtp=127.0.0.1:{self.port}", f"--listen=health=127.0.0.1:{health}"]
        with (directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                account.command(command), stderr=log, env=os.environ | environment
            )
        try:
            wait_until(self._serves, 30, "mxd serves")
        except BenchError:
            self.end()
            raise

    def _serves(self) -> bool:
        if self.process.poll() is not None:
            raise BenchError(f"mxd ended: {(self.directory / 'log').read_text()[-800:]}")
        return (self.directory / "run" / "digest").exists()

    @property
    def spool(self) -> Path:
        """Its file."""
        return self.directory / "spool.sqlite"

    def children(self) -> list[int]:
        """Workers and courier."""
        return [pid for pid in self.account.processes() if pid != self.process.pid]

    def kept(self) -> int:
        """Messages in the spool."""
        with contextlib.closing(sqlite3.connect(f"file:{self.spool}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM message WHERE begun IS NULL").fetchone()[0])

    def heads(self, limit: int) -> list[bytes]:
        """What was put before the last messages: Received, Authentication-Results."""
        with contextlib.closing(sqlite3.connect(f"file:{self.spool}?mode=ro", uri=True)) as connection:
            rows = connection.execute(
                "SELECT head FROM message WHERE begun IS NULL ORDER BY id DESC LIMIT ?", (limit,)
            )
            return [bytes(head) for (head,) in rows]

    def end(self) -> None:
        """Stop it in good order; whatever does not stop is ended by its process id."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(40)
        finally:
            self.account.end()


def _table(directory: Path, certificate: Certificate, resolver: str) -> dict[str, Any]:
    return {
        "node": {"name": "mx1", "hostname": "mx1.corp.test", "release": "0", "address4": "127.0.0.1"},
        "service": {"hostname": "mx.corp.test", "workers": WORKERS},
        "paths": {
            "spool": str(directory / "spool.sqlite"),
            "runtime": str(directory / "run"),
            "accounts": str(directory / "accounts.toml"),
        },
        # No attempts: what is accepted stays, as what Postfix holds does.
        "delivery": {"attempts": 0, "resolver": resolver},
        "domain": [
            {
                "name": "corp.test",
                "recipients": ["alice"],
                "route": {"kind": "lmtp", "host": "127.0.0.1", "port": 1},
            }
        ],
        "certificate": [
            {"name": "mx.corp.test", "chain": str(certificate.chain), "key": str(certificate.key)}
        ],
    }


def to_toml(table: dict[str, Any], prefix: str = "") -> str:
    """Plain values, tables, and lists of tables, as TOML."""
    plain = [f"{key} = {json.dumps(value)}" for key, value in table.items() if not _is_table(value)]
    text = "\n".join(plain) + "\n"
    for key, value in table.items():
        name = prefix + key
        if isinstance(value, dict):
            text += f"[{name}]\n" + to_toml(value, f"{name}.")
        elif _is_table(value):
            text += "".join(f"[[{name}]]\n" + to_toml(item, f"{name}.") for item in value)
    return text


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))
