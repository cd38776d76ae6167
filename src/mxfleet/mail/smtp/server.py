"""The SMTP server as a sans-IO engine (RFC 5321): octets in, events and reply octets out.

    server = Server(ServerConfig("mx.example.org"))
    server.greeting()
    server.receive(octets)
    while not isinstance(event := server.next_event(), Idle):
        match event:
            case RcptTo(mailbox) if mailbox not in users:
                server.answer(Reply(550, "5.1.1", "No such user"))
            case RcptTo():
                server.accept()
            ...
    transport.write(server.output())

A question (`events.Question`) pauses the engine until it is answered, at once or much later; octets may be
received meanwhile. Replies leave in the order of the commands, whatever was pipelined.
"""

from typing import Literal, TypeAlias

from mxfleet.errors import SmtpError
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp import answers, events, replies
from mxfleet.mail.smtp.events import Event, Idle
from mxfleet.mail.smtp.limits import ServerConfig
from mxfleet.mail.smtp.pace import Pace
from mxfleet.mail.smtp.reception import AnyReception
from mxfleet.mail.smtp.server_engine import Engine

Expects: TypeAlias = Literal["command", "data", "answer", "handshake", "nothing"]


class Server(Engine):
    """One connection's server side; no socket, no clock, no policy."""

    def __init__(self, config: ServerConfig) -> None:
        """Begin before the greeting."""
        super().__init__(config)
        self._pace = Pace(config.limits)
        self._paced: AnyReception | None = None  # the message of the last deadline

    # ── what the driver sees ────────────────────────────────────────────────────────────────────────────

    @property
    def closed(self) -> bool:
        """Whether the session is over: send `output()` and close."""
        return self._phase == "nothing"

    @property
    def expects(self) -> Expects:
        """What the engine waits for; the driver's timer goes by it (`ServerLimits.*_seconds`)."""
        return "answer" if self._asked is not None else self._phase

    @property
    def receiving(self) -> bool:
        """Whether a message is coming in, also between two BDATs: `fail_message` may be called."""
        return self.session.reception is not None

    @property
    def buffered(self) -> int:
        """Octets received and not yet looked at; a driver stops reading when it is paused with many."""
        return self._lines.waiting

    def deadline(self, now: float) -> float:
        """By when more must have come, else `timeout()`; ask again after something was done (`Pace`)."""
        reception = self.session.reception
        if reception is not self._paced:
            self._paced = reception
            self._pace.another_message()
        return self._pace.deadline(self.expects, None if reception is None else reception.size, now)

    def output(self) -> bytes:
        """The octets to send now; each is returned once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    # ── what the driver does ────────────────────────────────────────────────────────────────────────────

    def greeting(self, reply: Reply | None = None) -> None:
        """Open the session (RFC 5321 §4.3.1); a negative reply (421, 554) refuses it and closes."""
        if reply is None:
            reply = Reply(220, "", f"{self.session.config.hostname} ESMTP mxfleet")
        if reply.positive:
            self._out.append(reply.render())
        else:
            self._close("refused", reply)

    def receive(self, data: bytes) -> None:
        """Take octets from the client; b"" says that it closed the connection."""
        if self._phase == "nothing":
            return
        if not data:
            self._close("disconnected")
        elif self._phase == "handshake":
            self._close("protocol", detail="plain text during the TLS handshake")
        else:
            self._lines.append(data)

    def next_event(self) -> Event | Idle:
        """The next question or notice, or why there is none."""
        while not self._notices:
            if self._asked is not None or self._phase == "handshake":
                return Idle.PAUSED
            if self._phase == "nothing" or (self._phase == "command" and not self._lines.waiting):
                return Idle.NEED_INPUT
            if (event := self._advance()) is not None:
                return event
        return self._notices.pop(0)

    def accept(self) -> None:
        """Answer the question positively, in the engine's words."""
        asked = self._take_question()
        if self._lines.waiting and self._spoke_early(asked):
            return
        if (words := answers.ACCEPTED.get(type(asked))) is not None and self._chunk is None:
            self._out.append(words)
        self._settle(asked)

    def answer(self, reply: Reply) -> None:
        """Answer the question; a 421 ends the session.

        A negative answer to DataStart or MessageComplete ends the transaction.
        Raises SmtpError where nothing was asked, or a positive answer must be `accept()`.
        """
        if reply.positive and self._asked is not None and not isinstance(self._asked, answers.FREE_WORDS):
            raise SmtpError(f"{type(self._asked).__name__} is answered positively with accept()")
        asked = self._take_question()
        if self._lines.waiting and self._spoke_early(asked):
            return
        if reply.code == 421:
            self._close("refused", reply)
        elif reply.positive:
            self._say(reply, asked)
            self._settle(asked)
        else:
            self._deny(asked, reply)

    def fail_message(self, reply: Reply) -> None:
        """While a message comes in: no more of it is wanted, its end will be answered with this reply."""
        if self.session.reception is None:
            raise SmtpError("there is no message in progress that could fail")
        self.session.reception.fail(reply)

    def forgive(self, seconds: float) -> None:
        """So long it was the driver that did not read: it does not count against the client's message."""
        self._pace.forgive(seconds)

    def tls_established(self, tls: events.TlsInfo) -> None:
        """The handshake is done, after StartTls or, for `submissions`, before the greeting."""
        if self._phase != "nothing":
            self.session.begin_tls(tls)
            self._phase = "command"

    def timeout(self) -> None:
        """The client took too long (RFC 5321 §4.5.3.2)."""
        self._close("timeout", replies.TIMED_OUT)

    def shutdown(self) -> None:
        """The service ends; best called when `expects` is "command" (RFC 5321 §3.8)."""
        self._close("shutdown", replies.SHUTTING_DOWN)
