"""A process that accepts mail as fast as it can and says what was promised; the tests kill it at random.

usage: spool_writer.py SPOOL NAME — one line `NAME-<n>` on stdout after each commit, never before.
"""

import asyncio
import hashlib
import os
import sys
from pathlib import Path

from mxfleet.mxd.spool.protocol import CHUNK, Envelope
from mxfleet.mxd.spool.sqlite import SqliteSpool


def body(trace: str) -> bytes:
    """A body that can be recognised: every seventh is larger than a chunk."""
    seed = hashlib.sha256(trace.encode()).hexdigest().encode()
    return seed * (5000 if int(trace.rpartition("-")[2]) % 7 == 0 else 60)


async def session(spool: SqliteSpool, name: str, first: int, step: int) -> None:
    number = first
    while True:
        trace = f"{name}-{number}"
        rest, staged = body(trace), None
        while len(rest) > CHUNK:
            staged = await spool.stage(staged, rest[:CHUNK])
            rest = rest[CHUNK:]
        envelope = Envelope(trace=trace, sender="", received=1.0, expires=9e9, size=len(body(trace)))
        recipients = [f"a{number}@one.test", f"b{number}@two.test"]
        await spool.accept(envelope, recipients, b"Received: here\r\n", rest, staged)
        os.write(1, f"{trace}\n".encode())
        number += step


async def main() -> None:
    spool = SqliteSpool(Path(sys.argv[1]))
    await asyncio.gather(*(session(spool, sys.argv[2], n, 10) for n in range(10)))


if __name__ == "__main__":
    asyncio.run(main())
