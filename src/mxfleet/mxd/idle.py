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
        self._kept: dict[Key, list[Connection]] = {}
        self._timers: dict[Connection, asyncio.TimerHandle] = {}
        self._used: dict[Connection, int] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def take(self, key: Key) -> Connection | None:
        """A connection that was usable when it was put here."""
        kept = self._kept.get(key)
        while kept:
            connection = kept.pop()
            if not kept:
                del self._kept[key]
            self._timers.pop(connection).cancel()
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
        self._kept.setdefault(key, []).append(connection)
        later = asyncio.get_running_loop().call_later(IDLE, self._expire, key, connection)
        self._timers[connection] = later

    def end(self, connection: Connection) -> None:
        """Say QUIT in the background: the answer to it is nobody's concern."""
        self._used.pop(connection, None)
        task = asyncio.get_running_loop().create_task(connection.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End them all and wait for those that are saying good-bye."""
        for key, kept in list(self._kept.items()):
            for connection in list(kept):
                self._expire(key, connection)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _expire(self, key: Key, connection: Connection) -> None:
        kept = self._kept.get(key, [])
        if connection in kept:
            kept.remove(connection)
            if not kept:
                del self._kept[key]
        self._timers.pop(connection).cancel()
        self.end(connection)
