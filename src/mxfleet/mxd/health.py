"""GET /healthz and /metrics, for this host and its peers only; whether a commit works is tried, not assumed."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, cast

import msgspec

from mxfleet.errors import SpoolError
from mxfleet.mxd.counters import Shared
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.listener import plain_address

FRESH: Final = 1.0  # seconds for which a commit that succeeded speaks for the next
PATIENCE: Final = 1.0  # seconds that a commit may take before it counts as one that does not work
MAX_REQUEST: Final = 4096


class Health:
    """What this process answers about itself and the spool."""

    def __init__(self, desk: Desk, shared: Shared, clock: Callable[[], float] = time.monotonic) -> None:
        self._desk = desk
        self._shared = shared
        self._clock = clock
        self._probe: asyncio.Task[None] | None = None
        self._queue: tuple[float, int] = (float("-inf"), 0)
        self._allowed = {"127.0.0.1", "::1"}
        self._allowed |= {plain_address(peer) for peer in desk.settings.service.peers}

    def connection(self) -> asyncio.Protocol:
        """A protocol for one connection to the health socket."""
        return _Connection(self)

    def allows(self, address: str) -> bool:
        """Whether this client may ask."""
        return address in self._allowed

    def total(self, name: str) -> int:
        """A counter over all processes."""
        return self._shared.total(name)

    async def commits(self) -> bool:
        """Whether the spool took a commit within the last second, or takes one now."""
        if self._clock() - self._desk.committed_at < FRESH:
            return True
        if self._probe is None or self._probe.done():  # one at a time: a stuck disk gets no pile of probes
            self._probe = self._desk.run(self._try())
        await asyncio.wait([self._probe], timeout=PATIENCE)
        return self._clock() - self._desk.committed_at < FRESH

    async def _try(self) -> None:
        try:
            await self._desk.spool.probe(time.time())
        except SpoolError as error:
            self._desk.log.error("cannot commit", exception=error)
        else:
            self._desk.committed_at = self._clock()

    async def queue(self) -> int:
        """Deliveries that wait, at most a second old."""
        taken, count = self._queue
        if self._clock() - taken >= FRESH:
            try:
                count = await self._desk.spool.waiting()
            except SpoolError:
                return count
            self._queue = (self._clock(), count)
        return count

    async def report(self) -> dict[str, object]:
        """The answer to /healthz."""
        return {
            "commits": await self.commits(),
            "node": self._desk.settings.node.name,
            "queue": await self.queue(),
            "digest": self._desk.configuration.digest,
        }

    async def answer(self, method: str, path: str) -> tuple[int, str, bytes]:
        """Status, media type and body for a request."""
        if method != "GET":
            return 405, "text/plain", b"only GET\n"
        if path == "/healthz":
            report = await self.report()
            return (200 if report["commits"] else 503), "application/json", msgspec.json.encode(report)
        if path == "/metrics":
            gauges = {
                "queue_deliveries": ("Deliveries that wait", float(await self.queue())),
                "commits": ("Whether the spool can commit", float(await self.commits())),
            }
            from mxfleet.mxd.exposition import exposition

            return 200, "text/plain; version=0.0.4", exposition(self._shared, gauges)
        return 404, "text/plain", b"/healthz or /metrics\n"

    def serve(self, transport: asyncio.Transport, request: bytes) -> None:
        """Answer one request in the background."""
        self._desk.run(self._serve(transport, request))

    async def _serve(self, transport: asyncio.Transport, request: bytes) -> None:
        words = request.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) == 3 and words[2].startswith("HTTP/1."):
            status, kind, body = await self.answer(words[0], words[1])
        else:
            status, kind, body = 400, "text/plain", b"not HTTP/1\n"
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        )
        transport.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        transport.close()


_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


class _Connection(asyncio.Protocol):
    """One request, one answer (RFC 9112, as much of it as a probe needs)."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._request = b""
        self._transport: asyncio.Transport
        self._patience: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._patience = asyncio.get_running_loop().call_later(10.0, self._transport.abort)
        peer = transport.get_extra_info("peername")
        if not peer or not self._health.allows(plain_address(peer[0])):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._request += data
        if b"\r\n\r\n" in self._request:
            self._transport.pause_reading()
            self._health.serve(self._transport, self._request)
        elif len(self._request) > MAX_REQUEST:
            self._transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        self._patience.cancel()
