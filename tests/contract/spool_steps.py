"""Runs one sequence of spool operations again and again, killed a step later each time; then looks what is there.

usage: spool_steps.py DIRECTORY. A step is a statement that the spool's writing connection begins. The operations
follow one another, so that after a kill the spool must show what it showed before the operation that was under way,
or what it would have shown after it; an operation that had returned must have happened. Prints the number of steps.
"""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from mxfleet.mxd.spool.protocol import CHUNK, Envelope, Notice, Result, Selection, Spool
from mxfleet.mxd.spool.sqlite import SqliteSpool

ALL = Selection()


def envelope(trace: str) -> Envelope:
    return Envelope(trace=trace, sender="a@x.test", received=100.0, expires=900.0, size=5)


async def operations(spool: Spool) -> AsyncIterator[None]:
    """Everything that a spool can be told, one after the other."""
    await spool.accept(envelope("t1"), ["u@one.test", "v@two.test"], b"H: 1\r\n", b"body1")
    yield
    staged = await spool.stage(None, bytes(CHUNK))
    yield
    staged = await spool.stage(staged, bytes(CHUNK))
    yield
    await spool.accept(envelope("t2"), ["w@one.test"], b"", b"rest", staged)
    yield
    staged = await spool.stage(None, bytes(CHUNK))
    yield
    await spool.discard(staged)
    yield
    await spool.hold(Selection(trace="t2"))
    yield
    one, two = await spool.claim("courier", 200.0, 30.0, 10)
    yield
    await spool.extend([one, two], 210.0, 30.0)
    yield
    await spool.record(one, [Result(0, "delivered", "250 ok")], 0.0)
    yield
    bounce = Notice(envelope("bounce"), ("a@x.test",), b"", b"sorry")
    await spool.record(two, [Result(0, "failed", "550 no")], 0.0, bounce)
    yield
    await spool.let_go(220.0, ALL)
    yield
    leases = await spool.claim("courier", 230.0, 30.0, 10)
    yield
    await spool.record(leases[0], [Result(0, "waiting", "451 later")], 300.0, warned=True)
    yield
    await spool.put_back(leases[1], 240.0)
    yield
    await spool.requeue(250.0, ALL)
    yield
    await spool.reroute(250.0, ALL, "192.0.2.1:25")
    yield
    await spool.claim("courier", 251.0, 30.0, 10)
    yield
    await spool.release("courier", 252.0)
    yield
    await spool.expire(260.0, Selection(trace="t2"))
    yield
    await spool.probe(270.0)
    yield
    await spool.delete(Selection(domain="one.test"))
    yield


async def shown(spool: Spool) -> bytes:
    """All that can be seen of a spool at a fixed time."""
    found = [await spool.summary(200.0), await spool.items(200.0, 100)]
    return msgspec.json.encode(found)


async def reference(path: Path) -> list[bytes]:
    """What is shown before the first operation and after each."""
    spool = SqliteSpool(path)
    found = [await shown(spool)]
    async for _ in operations(spool):
        found += [await shown(spool)]
    spool.close()
    return found


async def run(path: Path, step: int, acknowledged: int) -> None:
    """The operations, killed when that step begins; an octet into the pipe for each that returned."""
    spool = SqliteSpool(path)
    left = step

    def count(_: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    spool._committer._connection.set_trace_callback(count)
    async for _ in operations(spool):
        os.write(acknowledged, b".")
    spool._committer._connection.set_trace_callback(None)
    spool.close()


async def look(path: Path, expected: list[bytes]) -> None:
    spool = SqliteSpool(path)
    found = await shown(spool)
    await spool.sweep(float("inf"))
    spool.close()
    if found not in expected:
        raise SystemExit(f"{path.name}: shows {found!r}, may show {expected!r}")
    with sqlite3.connect(path) as connection:
        for orphans in (
            "SELECT count(*) FROM chunk WHERE id / 65536 NOT IN (SELECT id FROM message)",
            "SELECT count(*) FROM delivery WHERE message NOT IN (SELECT id FROM message)",
            "SELECT count(*) FROM recipient WHERE delivery NOT IN (SELECT id FROM delivery)",
            "SELECT count(*) FROM message WHERE id NOT IN (SELECT message FROM delivery)",
        ):
            if connection.execute(orphans).fetchone()[0]:
                raise SystemExit(f"{path.name}: {orphans}")


def in_child(work: object) -> int:
    """Each life has its own process: it is killed, and threads do not survive a fork."""
    child = os.fork()
    if not child:
        code = 1
        try:
            asyncio.run(work)  # type: ignore[arg-type]
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> int:
    directory = Path(sys.argv[1])
    states: list[bytes] = []
    answer, end = os.pipe()

    async def tell_reference() -> None:
        os.write(end, msgspec.json.encode([s.decode() for s in await reference(directory / "whole")]))

    if in_child(tell_reference()):
        return 1
    states = [s.encode() for s in msgspec.json.decode(os.read(answer, 1_000_000), type=list[str])]
    for step in range(10_000):
        path = directory / f"killed-{step}"
        code = in_child(run(path, step, end))
        if code not in (0, -signal.SIGKILL):
            return 1
        os.write(end, b"|")
        done = os.read(answer, 1000).count(b".")
        if in_child(look(path, states[done : done + 2])):
            return 1
        if code == 0:
            sys.stdout.write(f"{step}\n")
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
