"""`python -m bench.relay [--quick] [--json]`: the full path, our exchange against Debian's Postfix.

smtp-source sends over 100 sessions, the server accepts durably and relays to smtp-sink; the clock stops when its
queue is empty. Pairs A B A B in the same run, medians. 20 connections to the destination at most, on both sides.
Source and sink have the servers' own priority, as the generator of bench.receive has.
Needs root and the Debian package postfix.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.measured import keep
from bench.receiving import certificate, postfix
from bench.receiving.exchange import WORKERS, Exchange
from bench.receiving.machine import FIRST, Account, BenchError, answers, free_ports, wait_until
from mxfleet.errors import MxfleetError
from mxfleet.mxd.spool import looking
from mxfleet.mxd.spool.schema import connect_reader

SESSIONS: Final = 100
CONNECTIONS: Final = 20  # Postfix's default_destination_concurrency_limit
SIZES: Final = {"4k": (4096, 4000), "50k": (50_000, 1000)}
PATIENCE: Final = 300.0


@dataclass(frozen=True)
class Cell:
    """One server, one size, once: messages a second until drained, CPU seconds a message."""

    rate: float
    cpu: float


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="one pair of a quarter of the messages")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="on the disk to measure")
    arguments = parser.parse_args()
    try:
        found = measure(arguments.directory, 1 if arguments.quick else arguments.rounds, arguments.quick)
    except MxfleetError as error:
        print(f"bench.relay: {error}", file=sys.stderr)
        return 1
    if not arguments.quick:
        keep("relay", found)
    print(json.dumps(found, indent=None if arguments.json else 2))
    return 0


def measure(base: Path, rounds: int, quick: bool) -> dict[str, Any]:
    """Ratios of ours to Postfix's, with the medians that they are made of."""
    pairs: dict[str, list[tuple[Cell, Cell]]] = {size: [] for size in SIZES}
    with tempfile.TemporaryDirectory(prefix="mxfleet-bench-", dir=base) as name:
        directory = Path(name)
        directory.chmod(0o755)
        identity = certificate.make(directory)
        for number in range(rounds):
            for size, (octets, messages) in SIZES.items():
                count = messages // 4 if quick else messages
                pair = tuple(
                    _cell(directory / f"{number}-{size}-{who}", identity, octets, count, ours=who == "mxd")
                    for who in ("mxd", "postfix")
                )
                pairs[size].append((pair[0], pair[1]))
                rates = " to ".join(f"{cell.rate:.0f}" for cell in pair)
                print(f"bench.relay: {size} {number + 1}/{rounds}: {rates} messages/s", file=sys.stderr)
    ratios = {f"relay_{size}": _ratio(found, lambda c: c.rate) for size, found in pairs.items()}
    ratios["cpu"] = _ratio(pairs["4k"], lambda c: c.cpu)
    values = {
        f"{who}_{size}": {
            "rate": _median(found, n, lambda c: c.rate),
            "cpu_ms": 1000 * _median(found, n, lambda c: c.cpu),
        }
        for size, found in pairs.items()
        for n, who in enumerate(("mxd", "postfix"))
    }
    return {"ratios": ratios, "values": values, "rounds": rounds}


def _ratio(pairs: list[tuple[Cell, Cell]], value: Callable[[Cell], float]) -> float:
    return round(statistics.median(value(ours) / value(theirs) for ours, theirs in pairs), 3)


def _median(pairs: list[tuple[Cell, Cell]], which: int, value: Callable[[Cell], float]) -> float:
    return round(statistics.median(value(pair[which]) for pair in pairs), 6)


def _cell(directory: Path, identity: certificate.Certificate, octets: int, count: int, *, ours: bool) -> Cell:
    directory.mkdir()
    (port,) = free_ports(1)
    sink = subprocess.Popen(
        [*FIRST, "smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", "1000"], stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: answers(port), 10, "smtp-sink")
        return (_exchange if ours else _postfix)(directory, identity, port, octets, count)
    finally:
        sink.terminate()
        sink.wait()
        shutil.rmtree(directory)


def _exchange(directory: Path, identity: certificate.Certificate, sink: int, octets: int, count: int) -> Cell:
    extra = {
        "service": {"hostname": "mx.corp.test", "workers": WORKERS, "sessions_per_address": 500},
        "delivery": {"attempts": 2 * CONNECTIONS, "per_destination": CONNECTIONS, "resolver": "127.0.0.1"},
        "domain": [
            {
                "name": "corp.test",
                "recipients": ["alice"],
                "route": {"kind": "smtp", "host": "127.0.0.1", "port": sink},
            }
        ],
    }
    account = Account("mxd")
    server = Exchange(directory, account, identity, "127.0.0.1", extra)
    try:
        with contextlib.closing(connect_reader(server.spool)) as connection:
            return _run(server.port, account, octets, count, lambda: looking.next_due(connection, ()) is None)
    finally:
        server.end()


def _postfix(directory: Path, identity: certificate.Certificate, sink: int, octets: int, count: int) -> Cell:
    account = Account("postfix")
    held = "check_recipient_access static:HOLD, "
    before = postfix.MAIN, postfix.MASTER
    postfix.MAIN = (
        before[0]
        .replace(held, "")
        .replace("virtual_transport = discard", f"virtual_transport = smtp:[127.0.0.1]:{sink}")
    )
    postfix.MASTER = before[1] + "smtp unix - - n - - smtp\nrelay unix - - n - - smtp\n"
    try:
        server = postfix.Postfix(directory, account, identity)
    finally:
        postfix.MAIN, postfix.MASTER = before
    queues = [directory / "queue" / name for name in ("incoming", "active", "deferred", "maildrop")]
    try:
        return _run(
            server.port,
            account,
            octets,
            count,
            lambda: not any(path.is_file() for queue in queues for path in queue.rglob("*")),
        )
    finally:
        server.end()


def _run(port: int, account: Account, octets: int, count: int, drained: Callable[[], bool]) -> Cell:
    """Send them all, wait until the queue is empty."""
    cpu, begun = account.seconds(), time.monotonic()
    command = [*FIRST, "smtp-source", "-s", str(SESSIONS), "-l", str(octets), "-m", str(count)]
    command += ["-f", "news@sender.test", "-t", "alice@corp.test", f"127.0.0.1:{port}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"smtp-source: {done.stderr.strip()[-300:]}")
    wait_until(drained, PATIENCE, "the queue is empty")
    seconds = time.monotonic() - begun
    return Cell(count / seconds, (account.seconds() - cpu) / count)


if __name__ == "__main__":
    sys.exit(main())
