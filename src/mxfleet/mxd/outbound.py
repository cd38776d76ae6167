"""One outbound connection: socket bound to our own address, the client engine, TLS, time-outs."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self, cast

from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.client import Client, ClientConfig
from mxfleet.mail.smtp.client_events import ClientEvent
from mxfleet.mail.smtp.events import Closed, Idle
from mxfleet.mxd.tls import client_info

# RFC 5321 §4.5.3.2, in seconds; whatever is not named here waits as long as a command.
PATIENCE: Final[Mapping[str, float]] = {
    "data": 120.0,
    "body": 180.0,
    "message": 600.0,
    "handshake": 30.0,
    "quit": 5.0,
}
COMMAND: Final = 300.0
TOGETHER: Final = (
    65_536  # octets with which the end goes at once; it is doubtful whether they arrived if it fails
)
UNREACHABLE: Final = Reply(451, "4.4.1", "No connection")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of a certificate: why it is no good, or by what it was found good ("" where nobody looked)."""

    problem: str = ""
    verified: str = ""


class Connection(asyncio.Protocol):
    """Carries the engine's octets; `next` gives its events one by one."""

    def __init__(self, config: ClientConfig) -> None:
        """Made by `connect`."""
        self.engine = Client(config)
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self._news: asyncio.Future[None] | None = None  # what `next` waits for
        self._deadline = 0.0  # until when it does
        self._timer: asyncio.TimerHandle | None = None  # goes off then or earlier: most waits are short
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = asyncio.Event()
        self._upgrading = False
        self._early: list[bytes] = []
        self.verified = ""  # by what the other side's certificate was found good

    @classmethod
    async def connect(
        cls, config: ClientConfig, address: str, port: int, source: str, patience: float
    ) -> Self:
        """Connect to one address from one of ours; raises OSError, TimeoutError included."""
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            opened.setblocking(False)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if source:
                opened.bind((source, 0))
            async with asyncio.timeout(patience):
                await loop.sock_connect(opened, (address, port))
            _, connection = await loop.create_connection(lambda: cls(config), sock=opened)
        except BaseException:
            opened.close()
            raise
        return connection

    # ── asyncio ─────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The engine waits for the greeting."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Replies."""
        if self._upgrading:
            self._early.append(data)
            return
        self.engine.receive(data)
        self._flush()
        self._wake()

    def connection_lost(self, _error: Exception | None) -> None:
        """The other side has gone."""
        self._upgrading = False
        self._lost.set()
        self.engine.receive(b"")
        self._writable.set()
        if self._timer is not None:
            self._timer.cancel()
        self._wake()

    def pause_writing(self) -> None:
        """Too much waits to be sent."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It was sent."""
        self._writable.set()

    # ── the driver ──────────────────────────────────────────────────────────────────────────────────────

    async def next(self) -> ClientEvent:
        """The engine's next event; after the last one, Closed for ever."""
        while True:
            event = self.engine.next_event()
            self._flush()
            if not isinstance(event, Idle):
                return event
            if self.engine.closed:
                return Closed("disconnected")
            await self._wait(PATIENCE.get(self.engine.expects, COMMAND))

    async def _wait(self, patience: float) -> None:
        """Until octets come, the connection ends, or the engine was told that it took too long."""
        self._deadline = self._loop.time() + patience
        if self._timer is None or self._timer.when() > self._deadline:
            self._set_timer()
        self._news = self._loop.create_future()
        try:
            await self._news
        finally:
            self._news = None

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._time_out)

    def _time_out(self) -> None:
        self._timer = None
        if self._news is None or self._news.done():
            return
        if self._loop.time() < self._deadline:  # of an earlier wait
            self._set_timer()
            return
        self.engine.timeout()
        self._wake()

    async def body(self, piece: bytes, *, last: bool) -> None:
        """Send a piece of the message, no faster than the other side takes it; behind the last one its end."""
        self.engine.body(piece)
        if last and len(piece) <= TOGETHER:
            self.engine.end_body()
        self._flush()
        if not self._writable.is_set():
            try:
                async with asyncio.timeout(PATIENCE["body"]):
                    await self._writable.wait()
            except TimeoutError:
                self.engine.timeout()
        if last:
            self.engine.end_body()  # goes out with the next wait

    async def start_tls(
        self, context: ssl.SSLContext, host: str, judge: Callable[[ssl.SSLObject], Verdict]
    ) -> str:
        """The handshake that the engine asked for: why it failed, and the connection with it; "" where it is done.

        `host` is sent as SNI; `judge` has the last word on what the other side showed.
        """
        self._transport.pause_reading()
        self._upgrading = True
        try:
            transport = await asyncio.get_running_loop().start_tls(
                self._transport,
                self,
                context,
                server_hostname=host,
                ssl_handshake_timeout=PATIENCE["handshake"],
            )
        except (OSError, ssl.SSLError, TimeoutError, ValueError) as error:
            return await self._give_up(handshake_words(error))
        if transport is None or not self._upgrading:
            return await self._give_up("the connection was lost in the TLS handshake")
        shown: ssl.SSLObject = transport.get_extra_info("ssl_object")
        verdict = judge(shown)
        self._transport, self._upgrading = transport, False
        if verdict.problem:
            return await self._give_up(verdict.problem)
        self.verified = verdict.verified
        self.engine.tls_established(client_info(shown, host))
        for octets in self._early:
            self.engine.receive(octets)
        self._flush()
        return ""

    async def _give_up(self, reason: str) -> str:
        self.abort()
        self._lost.set()  # the TLS layer, which perhaps never was up, will not say so
        await asyncio.sleep(0)  # the loop lets go of the socket
        return reason

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()

    async def close(self) -> None:
        """QUIT, and wait a little for the answer (RFC 5321 §4.1.1.10)."""
        if not self.engine.closed and self.engine.expects == "idle":
            self.engine.quit()
            while not isinstance(await self.next(), Closed):
                pass
        self._transport.close()
        try:
            async with asyncio.timeout(PATIENCE["quit"]):
                await self._lost.wait()
        except TimeoutError:
            self._transport.abort()

    def _flush(self) -> None:
        octets = self.engine.output()
        if octets and not self._transport.is_closing():
            self._transport.write(octets)


def handshake_words(error: Exception) -> str:
    """Why a TLS handshake failed, in words: OpenSSL's where it has some."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not believed: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"the TLS handshake failed: {error.reason.replace('_', ' ').lower()}"
    return f"the TLS handshake failed: {error or 'no answer in time'}"
