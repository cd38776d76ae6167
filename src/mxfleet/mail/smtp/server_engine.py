"""What the server engine does with each line, octet and answer; `server.Server` is how a driver sees it."""

from typing import Literal, TypeAlias

from mxfleet.errors import SmtpError
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp import answers, events, replies, sasl, verbs
from mxfleet.mail.smtp.data import BadLineEnding
from mxfleet.mail.smtp.events import CloseReason, DataChunk, Event, Idle, MessageComplete, Notice, Question
from mxfleet.mail.smtp.limits import ServerConfig
from mxfleet.mail.smtp.lines import LineBuffer, LineTooLong
from mxfleet.mail.smtp.reception import AnyReception, Chunk, ChunkedReception, Reception
from mxfleet.mail.smtp.replies import Breach, Refusal
from mxfleet.mail.smtp.session import LEARNED, Session

Phase: TypeAlias = Literal["command", "data", "handshake", "nothing"]
"""What the next octets are; nothing comes when the session is closed."""


class Engine:
    """One session: what was received, what is to be sent, what was asked."""

    def __init__(self, config: ServerConfig) -> None:
        """Begin before the greeting."""
        self.session = Session(config)
        self._lines = LineBuffer()
        self._out: list[bytes] = []
        self._notices: list[Notice] = []  # hardly ever more than one
        self._asked: Question | None = None
        self._phase: Phase = "command"
        self._mechanism: sasl.Mechanism | None = None  # waits for a response to its challenge
        self._chunk: Chunk | None = None  # the first BDAT, while the driver is asked whether it may begin
        self._verb = ""

    def _advance(self) -> Event | Idle | None:
        """One step: an event, or why there is none, or None where a step was made that needs no event."""
        try:
            if self._phase == "data" and self.session.reception is not None:
                return self._message(self.session.reception)
            return self._command()
        except Breach as breach:
            self._close(breach.reason, breach.reply)
        except Refusal as refusal:
            self._refuse(refusal.reply)
        except LineTooLong:
            self._verb, self._mechanism = "", None
            self._refuse(replies.LINE_TOO_LONG)
        except BadLineEnding as error:
            reply = replies.BAD_DATA_LINE if self._phase == "data" else replies.BAD_COMMAND_LINE
            self._close("protocol", reply, str(error))
        return None

    def _command(self) -> Event | Idle | None:
        if (octets := self._lines.next_line(self._line_limit())) is None:
            return Idle.NEED_INPUT
        mechanism, self._mechanism = self._mechanism, None
        self._verb = ""
        line = verbs.command_line(self.session, octets)
        outcome = self._run(line) if mechanism is None else verbs.auth_response(mechanism, line)
        if isinstance(outcome, Reply):
            self._out.append(outcome.render())
            return None
        if isinstance(outcome, sasl.Challenge):
            self._mechanism = outcome.then
            self._out.append(b"334 " + sasl.encode(outcome.text) + b"\r\n")
            return None
        if isinstance(outcome, Chunk):
            return self._begin_chunk(outcome)
        self._asked = outcome
        return outcome

    def _line_limit(self) -> int:
        config = self.session.config
        limits = config.limits
        if config.service == "smtp":
            return limits.command_line
        long = self._mechanism is not None or self._lines.starts_with(b"AUTH ")
        return limits.auth_line if long else limits.command_line

    def _run(self, line: str) -> verbs.Outcome:
        verb, _, argument = line.partition(" ")
        verb = verb.upper()
        command = verbs.VERBS.get(verb)
        if command is None:
            raise verbs.unknown(verb)
        self._verb = verb  # an unknown one may be anything, even a password, and stays out of the notices
        begun = self.session.mail is not None
        outcome = command(self.session, argument)
        if begun and self.session.mail is None:
            self._notices.append(events.Reset())
        return outcome

    def _begin_chunk(self, chunk: Chunk) -> Event | None:
        """BDAT: its octets are read whatever the answer will be (RFC 3030 §2)."""
        session = self.session
        if isinstance(session.reception, ChunkedReception):
            return self._read_chunk(session.reception, chunk)
        try:
            self._asked, self._chunk = session.check_data(), chunk
        except Refusal as refusal:
            return self._read_chunk(ChunkedReception(session.config.max_size, refusal.reply), chunk)
        return self._asked

    def _read_chunk(self, reception: ChunkedReception, chunk: Chunk) -> Event | None:
        self.session.reception = reception
        self._phase = "data"
        piece = reception.begin(chunk)
        return DataChunk(piece) if piece else None

    def _message(self, reception: AnyReception) -> Event | Idle | None:
        if reception.ended:
            return self._end_of_piece(reception)
        octets = self._lines.take_all()
        if not octets:
            return Idle.NEED_INPUT
        piece, rest = reception.push(octets)
        if rest:
            self._lines.put_back(rest)
        return DataChunk(piece) if piece else None

    def _end_of_piece(self, reception: AnyReception) -> Event | None:
        """The end of the message, or of one of its chunks."""
        if reception.failure is not None:
            self._end_of_failure(reception, reception.failure)
        elif reception.last:
            self._asked = MessageComplete(reception.size)
            return self._asked
        else:
            self._out.append(answers.CHUNK_OK)
            self._phase = "command"
        return None

    def _end_of_failure(self, reception: AnyReception, reply: Reply) -> None:
        """RFC 3030 §2: chunks that were under way behind a failed one are read and refused as well."""
        session = self.session
        if reception.refused:
            session.reception, self._phase = None, "command"
            if session.chunks_failed:
                self._out.append(reply.render())
            else:
                self._refuse(reply)
            return
        session.chunks_failed = isinstance(reception, ChunkedReception)
        self._out.append(reply.render(utf8=session.utf8))
        self._notices.append(events.Reset())
        self._after_message()

    def _after_message(self) -> None:
        self.session.end_transaction()
        self._phase = "command"

    def _take_question(self) -> Question:
        asked, self._asked = self._asked, None
        if asked is None:
            raise SmtpError("the engine was given an answer and had asked nothing")
        return asked

    def _spoke_early(self, asked: Question) -> bool:
        """More waits already: commands behind one that must be the last of its group: injected, or not from a mail client."""
        if not isinstance(asked, answers.LAST_OF_GROUP) or self._chunk is not None:
            return False
        tls = isinstance(asked, events.StartTls)
        self._close("protocol", replies.SPOKE_BEFORE_TLS if tls else replies.SPOKE_EARLY)
        return True

    def _settle(self, asked: Question) -> None:
        """What a positive answer changes."""
        if isinstance(asked, LEARNED):
            self.session.learn(asked)
        elif isinstance(asked, events.DataStart):
            self._begin_message()
        elif isinstance(asked, MessageComplete):
            self.session.idle_commands = self.session.refused_recipients = 0
            self._after_message()
        elif isinstance(asked, events.StartTls):
            self._phase = "handshake"
        else:
            # RFC 5321 §4.1.4: EHLO and HELO also do what RSET does.
            if self.session.end_transaction():
                self._notices.append(events.Reset())
            self.session.greet(asked)
            self._out.append(self.session.welcome().render())

    def _begin_message(self) -> None:
        limit = self.session.config.max_size
        chunk, self._chunk = self._chunk, None
        if chunk is None:
            self.session.reception, self._phase = Reception(limit), "data"
        else:
            self._read_chunk(ChunkedReception(limit), chunk)

    def _deny(self, asked: Question, reply: Reply) -> None:
        """What a negative answer changes, and where it is said."""
        session = self.session
        if self._chunk is not None:
            chunk, self._chunk = self._chunk, None
            session.end_transaction()
            session.chunks_failed = True
            self._read_chunk(ChunkedReception(session.config.max_size, reply), chunk)
            return
        if isinstance(asked, events.RcptTo) and reply.permanent:
            session.refused_recipients += 1
            if session.refused_recipients > session.config.limits.refused_recipients:
                self._close("errors", replies.TOO_MANY_REFUSED)
                return
        self._say(reply, asked)
        if isinstance(asked, events.DataStart | MessageComplete):
            self._after_message()
        elif isinstance(asked, events.Auth):
            session.auth_failures += 1

    def _say(self, reply: Reply, asked: Question) -> None:
        """The driver's words, in UTF-8 where the client takes that (RFC 6531 §3.7.4)."""
        utf8 = asked.utf8 if isinstance(asked, events.MailFrom) else self.session.utf8
        self._out.append(reply.render(utf8=utf8))

    def _refuse(self, reply: Reply) -> None:
        if reply.permanent:
            self.session.errors += 1
        if self.session.errors > self.session.config.limits.errors:
            self._close("errors", replies.TOO_MANY_ERRORS)
            return
        self._out.append(reply.render())
        self._notices.append(events.Refused(self._verb, reply))

    def _close(self, reason: CloseReason, reply: Reply | None = None, detail: str = "") -> None:
        if self._phase == "nothing":
            return
        if reply is not None and self._phase != "handshake":  # no plain text into a handshake
            self._out.append(reply.render())
        self._phase, self._asked, self._chunk, self.session.reception = "nothing", None, None, None
        self._lines.take_all()
        self._notices.append(events.Closed(reason, detail or (str(reply) if reply is not None else "")))
