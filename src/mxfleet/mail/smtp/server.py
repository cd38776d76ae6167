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

from collections import deque
from enum import Enum
from typing import Literal, TypeAlias

from mxfleet.errors import SmtpError
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp import answers, events, replies, sasl, verbs
from mxfleet.mail.smtp.data import BadLineEnding
from mxfleet.mail.smtp.events import CloseReason, DataChunk, Event, Idle, MessageComplete, Notice, Question
from mxfleet.mail.smtp.limits import ServerConfig
from mxfleet.mail.smtp.lines import LineBuffer, LineTooLong
from mxfleet.mail.smtp.reception import Reception
from mxfleet.mail.smtp.replies import Breach, Refusal
from mxfleet.mail.smtp.session import Session

Expects: TypeAlias = Literal["command", "data", "answer", "handshake", "nothing"]


class _Phase(Enum):
    COMMAND = "command"
    DATA = "data"
    HANDSHAKE = "handshake"
    CLOSED = "nothing"


class Server:
    """One connection's server side; no socket, no clock, no policy."""

    def __init__(self, config: ServerConfig) -> None:
        """Begin before the greeting."""
        self.session = Session(config)
        self._lines = LineBuffer()
        self._out: list[bytes] = []
        self._notices: deque[Notice] = deque()
        self._asked: Question | None = None
        self._phase = _Phase.COMMAND
        self._mechanism: sasl.Mechanism | None = None  # waits for a response to its challenge
        self._reception: Reception | None = None  # in phase DATA only
        self._verb = ""

    # ── what the driver sees ────────────────────────────────────────────────────────────────────────────

    @property
    def closed(self) -> bool:
        """Whether the session is over: send `output()` and close."""
        return self._phase is _Phase.CLOSED

    @property
    def expects(self) -> Expects:
        """What the engine waits for; the driver's timer goes by it (`ServerLimits.*_seconds`)."""
        return "answer" if self._asked is not None else self._phase.value

    @property
    def buffered(self) -> int:
        """Octets received and not yet looked at; a driver stops reading when it is paused with many."""
        return len(self._lines)

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
        if self._phase is _Phase.CLOSED:
            return
        if not data:
            self._close("disconnected")
        elif self._phase is _Phase.HANDSHAKE:
            self._close("protocol", detail="plain text during the TLS handshake")
        else:
            self._lines.append(data)

    def next_event(self) -> Event | Idle:
        """The next question or notice, or why there is none."""
        while not self._notices:
            if self._asked is not None or self._phase is _Phase.HANDSHAKE:
                return Idle.PAUSED
            if self._phase is _Phase.CLOSED:
                return Idle.NEED_INPUT
            if (event := self._advance()) is not None:
                return event
        return self._notices.popleft()

    def accept(self) -> None:
        """Answer the question positively, in the engine's words."""
        asked = self._take_question()
        if self._spoke_early(asked):
            return
        if (words := answers.ACCEPTED.get(type(asked))) is not None:
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
        if self._spoke_early(asked):
            return
        if reply.code == 421:
            self._close("refused", reply)
            return
        self._out.append(reply.render())
        if reply.positive:
            self._settle(asked)
        else:
            self._deny(asked)

    def fail_message(self, reply: Reply) -> None:
        """While a message comes in: no more of it is wanted, its end will be answered with this reply."""
        if self._reception is None:
            raise SmtpError("there is no message in progress that could fail")
        self._reception.fail(reply)

    def tls_established(self, tls: events.TlsInfo) -> None:
        """The handshake is done, after StartTls or, for `submissions`, before the greeting."""
        if self._phase is not _Phase.CLOSED:
            self.session.begin_tls(tls)
            self._phase = _Phase.COMMAND

    def timeout(self) -> None:
        """The client took too long (RFC 5321 §4.5.3.2)."""
        self._close("timeout", replies.TIMED_OUT)

    def shutdown(self) -> None:
        """The service ends; best called when `expects` is "command" (RFC 5321 §3.8)."""
        self._close("shutdown", replies.SHUTTING_DOWN)

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────

    def _advance(self) -> Event | Idle | None:
        """One step: an event, or why there is none, or None where a step was made that needs no event."""
        try:
            if self._reception is not None:
                return self._message(self._reception)
            return self._command()
        except Breach as breach:
            self._close(breach.reason, breach.reply)
        except Refusal as refusal:
            self._refuse(refusal.reply)
        except LineTooLong:
            self._verb, self._mechanism = "", None
            self._refuse(replies.LINE_TOO_LONG)
        except BadLineEnding as error:
            reply = replies.BAD_COMMAND_LINE if self._reception is None else replies.BAD_DATA_LINE
            self._close("protocol", reply, str(error))
        return None

    def _command(self) -> Event | Idle | None:
        octets = self._lines.next_line(self._line_limit())
        if octets is None:
            return Idle.NEED_INPUT
        mechanism, self._mechanism = self._mechanism, None
        self._verb = ""
        line = verbs.command_line(octets)
        outcome = self._run(line) if mechanism is None else verbs.auth_response(mechanism, line)
        if isinstance(outcome, Reply):
            self._out.append(outcome.render())
            return None
        if isinstance(outcome, sasl.Challenge):
            self._mechanism = outcome.then
            self._out.append(b"334 " + sasl.encode(outcome.text) + b"\r\n")
            return None
        self._asked = outcome
        return outcome

    def _line_limit(self) -> int:
        limits = self.session.config.limits
        if self.session.config.service == "smtp":
            return limits.command_line
        long = self._mechanism is not None or self._lines.starts_with(b"AUTH ")
        return limits.auth_line if long else limits.command_line

    def _run(self, line: str) -> verbs.Outcome:
        verb, _, argument = line.partition(" ")
        verb = verb.upper()
        if verb in verbs.VERBS:  # else it may be anything, even a password, and stays out of the notices
            self._verb = verb
        begun = self.session.mail is not None
        outcome = verbs.run(self.session, verb, argument)
        if begun and self.session.mail is None:
            self._notices.append(events.Reset())
        return outcome

    def _message(self, reception: Reception) -> Event | Idle | None:
        if reception.ended:
            return self._end_of_message(reception)
        octets = self._lines.take_all()
        if not octets:
            return Idle.NEED_INPUT
        piece, rest = reception.push(octets)
        if rest:
            self._lines.put_back(rest)
        return DataChunk(piece) if piece else None

    def _end_of_message(self, reception: Reception) -> Event | None:
        if reception.failure is None:
            self._asked = MessageComplete(reception.size)
            return self._asked
        self._out.append(reception.failure.render())
        self._notices.append(events.Reset())
        self._after_message()
        return None

    def _after_message(self) -> None:
        self.session.end_transaction()
        self._reception = None
        self._phase = _Phase.COMMAND

    def _take_question(self) -> Question:
        asked, self._asked = self._asked, None
        if asked is None:
            raise SmtpError("the engine was given an answer and had asked nothing")
        return asked

    def _spoke_early(self, asked: Question) -> bool:
        """Commands behind one that must be the last of its group: injected, or not from a mail client."""
        if not self._lines or not isinstance(asked, answers.LAST_OF_GROUP):
            return False
        tls = isinstance(asked, events.StartTls)
        self._close("protocol", replies.SPOKE_BEFORE_TLS if tls else replies.SPOKE_EARLY)
        return True

    def _settle(self, asked: Question) -> None:
        """What a positive answer changes."""
        if isinstance(asked, events.DataStart):
            self._phase = _Phase.DATA
            self._reception = Reception(self.session.config.max_size)
        elif isinstance(asked, MessageComplete):
            self.session.idle_commands = 0
            self._after_message()
        elif isinstance(asked, events.StartTls):
            self._phase = _Phase.HANDSHAKE
        elif isinstance(asked, events.Hello):
            # RFC 5321 §4.1.4: EHLO and HELO also do what RSET does.
            if self.session.end_transaction():
                self._notices.append(events.Reset())
            self.session.hello = asked
            self._out.append(self.session.welcome().render())
        else:
            self.session.learn(asked)

    def _deny(self, asked: Question) -> None:
        """What a negative answer changes."""
        if isinstance(asked, events.DataStart | MessageComplete):
            self._after_message()
        elif isinstance(asked, events.Auth):
            self.session.auth_failures += 1

    def _refuse(self, reply: Reply) -> None:
        if reply.permanent:
            self.session.errors += 1
        if self.session.errors > self.session.config.limits.errors:
            self._close("errors", replies.TOO_MANY_ERRORS)
            return
        self._out.append(reply.render())
        self._notices.append(events.Refused(self._verb, reply))

    def _close(self, reason: CloseReason, reply: Reply | None = None, detail: str = "") -> None:
        if self._phase is _Phase.CLOSED:
            return
        if reply is not None and self._phase is not _Phase.HANDSHAKE:  # no plain text into a handshake
            self._out.append(reply.render())
        self._phase, self._asked, self._reception = _Phase.CLOSED, None, None
        self._lines.take_all()
        self._notices.append(events.Closed(reason, detail or (str(reply) if reply is not None else "")))
