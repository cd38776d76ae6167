"""What carries a server engine over a transport: pumping, deadlines, flow control, STARTTLS, the end.

Nothing in here knows what the engine's events mean; `session.Session` does.
"""

import asyncio
import contextlib
from abc import abstractmethod
from typing import Final, cast

from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.events import Event, Idle
from mxfleet.mail.smtp.limits import ServerConfig
from mxfleet.mail.smtp.server import Server
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.listener import plain_address
from mxfleet.mxd.upgrade import upgrade

SPOOL: Final = "spool"  # why reading is paused: what was received is not stored yet
BUFFERED: Final = 65_536  # octets that may wait in a paused engine
LINGER: Final = 5.0  # seconds for a client to take its last reply


class Carrier(asyncio.BufferedProtocol):
    """One connection's transport and engine."""

    def __init__(self, desk: Desk, config: ServerConfig) -> None:
        self.desk = desk
        self.address = ""
        self.engine = Server(config)
        self.talking = True  # the client may be sending when we end
        self._transport: asyncio.Transport
        self._now = asyncio.get_running_loop().time
        self._local = ""
        self._unsaid = b""  # replies on their way to the transport
        self._pumping = False
        self._finishing = False
        self._draining = False
        self._upgrading = False
        self._early: list[bytes] = []  # decrypted before the task that upgraded has noticed
        self._deadline = float("inf")
        self._progressed = False  # since the deadline was worked out
        self._paused: set[str] = set()  # why reading is paused
        self._behind: float | None = None  # since when it is for the spool

    @abstractmethod
    def greeting(self) -> Reply | None:
        """Called when the client is here; a reply refuses it."""

    @abstractmethod
    def handle(self, event: Event) -> None:
        """Called with each event of the engine; a question may be answered at once or later."""

    @abstractmethod
    def ended(self) -> None:
        """Called once, when the connection is gone."""

    # ── asyncio ─────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet; with implicit TLS (RFC 8314 §3.3) the handshake is done already."""
        self._transport = cast("asyncio.Transport", transport)
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self.address = plain_address(peer[0]) if peer else "?"
        self._local = plain_address(local[0]) if local else ""
        connection = transport.get_extra_info("ssl_object")
        if connection is not None:
            self.engine.tls_established(self.desk.configuration.certificates.info(connection))
            self.desk.counters.add("tls_sessions")
        self.engine.greeting(self.greeting())
        self.pump()

    def get_buffer(self, _sizehint: int) -> memoryview:
        """All connections read into the same memory: asyncio would ask for 256 KiB for every line of four octets."""
        return self.desk.arriving

    def buffer_updated(self, octets: int) -> None:
        """So many octets came."""
        self.data_received(bytes(self.desk.arriving[:octets]))

    def data_received(self, data: bytes) -> None:
        """Octets from the client."""
        if self._upgrading:
            self._early.append(data)
            return
        if self._finishing:
            return
        self.engine.receive(data)
        self.pump()
        if self.engine.buffered > BUFFERED:
            self.pause("engine")

    def connection_lost(self, _error: Exception | None) -> None:
        """The client is gone; a commit under way goes on, what was not complete is dropped."""
        self._upgrading = False
        self.engine.receive(b"")
        self.pump()
        self.ended()

    def pause_writing(self) -> None:
        """The client does not read its replies: it will not be read either."""
        self.pause("replies")

    def resume_writing(self) -> None:
        """It reads again."""
        self.resume("replies")

    # ── the worker ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def busy(self) -> bool:
        """Whether a transaction or an answer is under way."""
        return self.engine.expects != "command" or self.engine.session.mail is not None

    def overdue(self, now: float) -> bool:
        """Whether the deadline has passed; asked once a second, so that no command has to look at a clock."""
        if self._progressed:
            self._progressed = False
            behind = self._behind is not None  # the spool's delay is not the client's
            self._deadline = float("inf") if behind else self.engine.deadline(now)
        return self._deadline <= now

    def expire(self) -> None:
        """The deadline has passed (RFC 5321 §4.5.3.2)."""
        if self._upgrading or self.engine.closed:
            self._transport.abort()
        else:
            self.engine.timeout()
            self.pump()

    def drain(self) -> None:
        """The service ends: now where nothing is under way, else after the transaction."""
        self._draining = True
        if not self.busy:
            self.engine.shutdown()
            self.pump()

    def abort(self) -> None:
        """The service does not wait any longer."""
        self._transport.abort()

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────

    def pump(self) -> None:
        """Handle what the engine has to say, send what it wants to send."""
        engine, handle = self.engine, self.handle
        self._pumping, progress = True, False
        while not isinstance(event := engine.next_event(), Idle):
            progress = True
            handle(event)
            if self._draining and not engine.closed and not self.busy:
                engine.shutdown()
        self._pumping = False
        if octets := engine.output():
            self._say(octets)
            progress = True
        if engine.closed:
            self._speak()
            self._finish()
        elif progress:
            self._progressed = True

    def _say(self, octets: bytes) -> None:
        """Send them with what others are told in this turn of the loop."""
        if not self._unsaid:
            self.desk.outbox.add(self._speak)
        self._unsaid += octets

    def _speak(self) -> None:
        octets, self._unsaid = self._unsaid, b""
        if octets:
            self._transport.write(octets)

    def _finish(self) -> None:
        """Close so that the last reply arrives: a socket closed with octets unread would take it back."""
        if self._finishing:
            return
        self._finishing = True
        self._deadline, self._progressed = self._now() + LINGER, False
        if self.talking and self._transport.can_write_eof() and not self._transport.is_closing():
            with contextlib.suppress(OSError):  # the client has gone, and nobody has been told yet
                self._transport.write_eof()
                self._paused.clear()
                self._transport.resume_reading()  # what still comes is read and thrown away
                return
        self._transport.close()

    def pause(self, why: str) -> None:
        """Read no more until every reason has gone."""
        if not self._paused and not self._transport.is_closing():
            self._transport.pause_reading()
        self._paused.add(why)
        if why == SPOOL and self._behind is None:
            self._behind = self._now()

    def resume(self, why: str) -> None:
        """A reason has gone."""
        if why == SPOOL and self._behind is not None:
            self.engine.forgive(self._now() - self._behind)
            self._behind = None
            self._progressed = True
        if self._paused:
            self._paused.discard(why)
            if not self._paused and not self._transport.is_closing():
                self._transport.resume_reading()

    def answer(self, reply: Reply | None) -> None:
        """Answer a question, at once or later; the client may have gone meanwhile. None is yes."""
        if self.engine.closed:
            return
        if reply is None:
            self.engine.accept()
        else:
            self.engine.answer(reply)
        self.answered()

    def answered(self) -> None:
        """A question has its answer: go on, unless that is being done already."""
        if not self._pumping:
            if self._draining and not self.busy:
                self.engine.shutdown()
            self.pump()
            self.resume("engine")

    def start_tls(self) -> None:
        """Answer STARTTLS, then do the handshake (RFC 3207)."""
        self.engine.accept()
        if self.engine.closed:  # it had sent more in the clear (RFC 3207 §4.2)
            return
        self._speak()
        self._transport.write(self.engine.output())
        self._transport.pause_reading()
        self._upgrading = True
        self.desk.run(self._upgrade())

    async def _upgrade(self) -> None:
        transport = await upgrade(self.desk, self._transport, self, self._local)
        if transport is None or not self._upgrading:  # failed, or gone meanwhile
            return
        self._transport = transport
        self._upgrading = False
        connection = transport.get_extra_info("ssl_object")
        self.engine.tls_established(self.desk.configuration.certificates.info(connection))
        early, self._early = self._early, []
        for octets in early:
            self.engine.receive(octets)
        if self._draining:
            self.engine.shutdown()
        self._progressed = True
        self.pump()
