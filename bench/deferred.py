"""`python -m bench.deferred [--deliveries N] [--json]`: a spool with a million deferred deliveries.

Half wait for one domain that hangs, the rest for 20,000 domains; all are due. Measured: list of one domain, finding
and leasing 50 that are due with the giant's slots taken, opening, and the memory of a process that does it all.
Targets: 0.5 s, 20 ms, 5 s, 150 MB. About two minutes, and 2 GB in /var/tmp.
"""

import argparse
import asyncio
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from mxfleet.mxd.spool.inserts import accepted, insert
from mxfleet.mxd.spool.protocol import Envelope, Selection
from mxfleet.mxd.spool.schema import connect, create
from mxfleet.mxd.spool.sqlite import SqliteSpool, prepare

GIANT: Final = "giant.test"
NOW: Final = 2e9
TARGETS: Final = {"list_s": 0.5, "claim_ms": 20.0, "open_s": 5.0, "memory_mb": 150.0}


def main() -> int:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=1_000_000)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mxfleet-bench-", dir=arguments.directory) as directory:
        path = Path(directory) / "spool.sqlite"
        fill(path, arguments.deliveries)
        found = asyncio.run(measure(path))
    if arguments.json:
        print(json.dumps({"deliveries": arguments.deliveries, "values": found, "targets": TARGETS}))
    else:
        for name, value in found.items():
            print(f"{name:<12} {value:>10.3f}" + (f"  of {TARGETS[name]:g}" if name in TARGETS else ""))
    return 0 if all(found[name] <= limit for name, limit in TARGETS.items()) else 1


def fill(path: Path, deliveries: int) -> None:
    """As accepting writes them, then deferred."""
    create(path)
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for begin in range(0, deliveries, 5000):
            connection.execute("BEGIN")
            insert(connection, [_message(n) for n in range(begin, min(begin + 5000, deliveries))])
            connection.execute("COMMIT")
        reply = "451 4.4.1 No connection to 192.0.2.1 port 25"
        connection.execute("UPDATE delivery SET attempts = 3, due = due + 1000, reply = ?", (reply,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    print(f"bench.deferred: {path.stat().st_size / 1e6:.0f} MB", file=sys.stderr)


def _message(number: int) -> Any:  # noqa: ANN401 - what inserts makes
    domain = GIANT if number % 2 else f"d{number % 20_000}.test"
    sender = f"u@sender{number % 500}.test"
    envelope = Envelope(
        trace=f"t{number}", sender=sender, received=1e9 + number / 1000, expires=NOW, size=600
    )
    return accepted(envelope, [f"u{number}@{domain}"], b"Received: x\r\n", b"x" * 600, None)


async def measure(path: Path) -> dict[str, float]:
    """Each several times; the median, and for claims the worst as well."""
    before = time.perf_counter()
    prepare(path)
    spool = SqliteSpool(path)
    await spool.release("mx1", NOW)
    opened = time.perf_counter() - before

    async def claim() -> None:
        found = await spool.due(NOW, 50, {GIANT}, 20)
        if len(await spool.lease("mx1", NOW, 30.0, found)) != 50:
            raise RuntimeError("50 were due, and not found")

    claims = [await _seconds(claim) for _ in range(50)]
    lists = [await _seconds(lambda: spool.items(NOW, 1000, Selection(domain=GIANT))) for _ in range(5)]
    small = [await _seconds(lambda: spool.items(NOW, 1000, Selection(domain="d42.test"))) for _ in range(5)]
    summary = await _seconds(lambda: spool.summary(NOW))
    waiting = await _seconds(spool.waiting)
    spool.close()
    return {
        "open_s": opened,
        "claim_ms": statistics.median(claims) * 1000,
        "claim_worst_ms": max(claims) * 1000,
        "list_s": max(*lists, *small),
        "summary_s": summary,
        "count_s": waiting,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }


async def _seconds(work: Callable[[], Awaitable[object]]) -> float:
    before = time.perf_counter()
    await work()
    return time.perf_counter() - before


if __name__ == "__main__":
    sys.exit(main())
