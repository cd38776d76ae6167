"""Connections that have done their work and may do more: kept a few seconds, then closed in good order."""

import asyncio
from typing import Final

from mxfleet.mail.sending_tls import Rule
from mxfleet.mxd.outbound import Connection
from mxfleet.mxd.route import Hop

IDLE: Final = 3.0  # seconds; the other side pays for our waiting too
REUSE: Final = 100  # transactions on one connection
Key = tuple[Hop, str, Rule]  # one that was made under a laxer rule is of no use under a stricter one


class IdleConnections:
    """By hop, address and rule: whoever takes one gets the one used last."""

    def __init__(self) -> None:
        self._kept: dict[
            Key, list[tuple[float, Connection]]
        ] = {}  # with when each is to end, the next to end first
        self._sweep: asyncio.TimerHandle | None = None  # one for all: each is put here once a message
        self._used: dict[Connection, int] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def take(self, key: Key) -> Connection | None:
        """A connection that was usable when it was put here."""
        kept = self._kept.get(key)
        while kept:
            _, connection = kept.pop()
            if not kept:
                del self._kept[key]
            if not connection.engine.closed:
                return connection
            self.end(connection)
        return None

    def put(self, key: Key, connection: Connection) -> None:
        """It has done a transaction; it stays if it can do another."""
        used = self._used.get(connection, 0) + 1
        if connection.engine.closed or used >= REUSE:
            self.end(connection)
            return
        self._used[connection] = used
        loop = asyncio.get_running_loop()
        until = loop.time() + IDLE
        self._kept.setdefault(key, []).append((until, connection))
        if self._sweep is None:
            self._sweep = loop.call_at(until, self._expire)

    def end(self, connection: Connection) -> None:
        """Say QUIT in the background: the answer to it is nobody's concern."""
        self._used.pop(connection, None)
        task = asyncio.get_running_loop().create_task(connection.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End them all and wait for those that are saying good-bye."""
        if self._sweep is not None:
            self._sweep.cancel()
        self._end_until(float("inf"))
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        self._end_until(loop.time())
        following = min((kept[0][0] for kept in self._kept.values()), default=None)
        self._sweep = None if following is None else loop.call_at(following, self._expire)

    def _end_until(self, now: float) -> None:
        for key, kept in list(self._kept.items()):
            while kept and kept[0][0] <= now:
                self.end(kept.pop(0)[1])
            if not kept:
                del self._kept[key]
