"""The server engine against a model of RFC 5321 §4.1.4, and against anything at all."""

from collections import deque
from typing import NamedTuple

from hypothesis import given, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mxfleet.mail.reply import Reply, ReplyParser
from mxfleet.mail.smtp import events
from mxfleet.mail.smtp.events import Event, Idle, TlsInfo
from mxfleet.mail.smtp.limits import ServerConfig, ServerLimits, Service
from mxfleet.mail.smtp.server import Server

PATIENT = ServerLimits(errors=10_000, idle_commands=10_000, auth_failures=10_000)
NO = Reply(550, "5.7.1", "No")
LATER = Reply(451, "4.7.1", "Later")


class Command(NamedTuple):
    """A command line, what it is to the model, and what the driver will say if it is asked."""

    line: str
    kind: str
    answer: Reply | None = None


answers = st.sampled_from([None, None, None, NO, LATER])
COMMANDS = st.one_of(
    st.sampled_from(
        [
            Command("NOOP", "noop"),
            Command("noop x y", "noop"),
            Command("RSET", "rset"),
            Command("VRFY x", "vrfy"),
            Command("MAIL FROM: <a@b.test>", "mail-syntax"),
            Command("MAIL FROM:<a@@b.test>", "mail-syntax"),
            Command("MAIL FROM:<a@b.test> X=1", "mail-parameter"),
            Command("RCPT TO:<>", "rcpt-syntax"),
            Command("RCPT TO:alice@corp.test", "rcpt-syntax"),
            Command("WHAT", "unknown"),
            Command("DATA x", "argument"),
            Command("RSET x", "argument"),
        ]
    ),
    st.builds(Command, st.just("MAIL FROM:<a@b.test> SIZE=5"), st.just("mail"), answers),
    st.builds(Command, st.just("Mail from:<>"), st.just("mail"), answers),
    st.builds(
        Command, st.sampled_from(["RCPT TO:<alice@corp.test>", "rcpt to:<bob@x>"]), st.just("rcpt"), answers
    ),
)
ENVELOPES = st.lists(COMMANDS, max_size=6)
MESSAGES = st.lists(st.sampled_from([b"", b".", b"..", b"x", b". y"]), max_size=5)
CUTS = st.integers(1, 200)


class Model:
    """What RFC 5321 says the reply must be; as plain as can be."""

    def __init__(self) -> None:
        self.hello = self.mail = False
        self.recipients = 0

    def reset(self) -> None:
        self.mail, self.recipients = False, 0

    def code(self, command: Command) -> int:
        fixed = {"noop": 250, "vrfy": 252, "unknown": 500, "argument": 501, "rcpt-syntax": 501}
        if command.kind in fixed:
            return fixed[command.kind]
        if command.kind == "rset":
            self.reset()
            return 250
        return self.mail_code(command) if command.kind.startswith("mail") else self.rcpt_code(command)

    def mail_code(self, command: Command) -> int:
        if not self.hello or self.mail:
            return 503
        if command.kind != "mail":
            return 501 if command.kind == "mail-syntax" else 555
        self.mail = command.answer is None
        return 250 if command.answer is None else command.answer.code

    def rcpt_code(self, command: Command) -> int:
        if not self.mail:
            return 503
        self.recipients += command.answer is None
        return 250 if command.answer is None else command.answer.code

    def asks(self, command: Command) -> bool:
        return (command.kind == "mail" and self.hello and not self.mail) or (
            command.kind == "rcpt" and self.mail
        )


def wire(commands: list[Command]) -> bytes:
    return b"".join(command.line.encode() + b"\r\n" for command in commands)


class Sessions(RuleBasedStateMachine):
    """A client that sends groups cut anywhere, and a driver that answers at once or later."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Server(ServerConfig("mx.corp.test", limits=PATIENT))
        self.model = Model()
        self.parser = ReplyParser()
        self.answers: deque[Reply | None] = deque()
        self.message = b""
        self.recipients = 0  # of the message that is about to begin
        self.accepted: list[bytes] = []
        self.server.greeting()
        assert self.codes() == [220]

    def codes(self) -> list[int]:
        self.parser.feed(self.server.output())
        found = []
        while (reply := self.parser.next_reply()) is not None:
            found.append(reply.code)
        assert not self.parser.pending
        return found

    def feed(self, octets: bytes, size: int, *, late: bool = False) -> None:
        for at in range(0, len(octets), size):
            self.server.receive(octets[at : at + size])
            if not late:
                self.pump()
        self.pump()

    def pump(self) -> None:
        while not isinstance(event := self.server.next_event(), Idle):
            self.take(event)

    def take(self, event: Event) -> None:
        if isinstance(event, events.DataChunk):
            self.message += event.data
        elif isinstance(event, events.DataStart):
            assert len(event.recipients) == self.recipients > 0
            self.message = b""
        if isinstance(event, events.Question):
            answer = self.answers.popleft()
            if isinstance(event, events.MessageComplete) and answer is None:
                self.accepted.append(self.message)
            self.server.accept() if answer is None else self.server.answer(answer)

    @rule(extended=st.booleans(), answer=answers, size=CUTS)
    def says_hello(self, extended: bool, answer: Reply | None, size: int) -> None:
        self.answers.append(answer)
        self.feed(b"EHLO a.test\r\n" if extended or not self.model.hello else b"EHLO b\r\n", size)
        if answer is None:
            self.model.hello = True
            self.model.reset()
        assert self.codes() == [250 if answer is None else answer.code]

    def expect(self, commands: list[Command]) -> list[int]:
        """The codes that a group will get; the driver learns what to answer."""
        expected = []
        for command in commands:
            if self.model.asks(command):
                self.answers.append(command.answer)
            expected.append(self.model.code(command))
        return expected

    def group(self, commands: list[Command], size: int, late: bool) -> list[int]:
        expected = self.expect(commands)
        self.feed(wire(commands), size, late=late)
        return expected

    @rule(commands=ENVELOPES, size=CUTS, late=st.booleans())
    def sends_a_group(self, commands: list[Command], size: int, late: bool) -> None:
        expected = self.group(commands, size, late)
        assert self.codes() == expected
        assert not self.answers

    @rule(
        commands=ENVELOPES,
        size=CUTS,
        late=st.booleans(),
        start=answers,
        lines=MESSAGES,
        final=answers,
        behind=ENVELOPES,
    )
    def sends_a_message(
        self,
        commands: list[Command],
        size: int,
        late: bool,
        start: Reply | None,
        lines: list[bytes],
        final: Reply | None,
        behind: list[Command],
    ) -> None:
        expected = self.group(commands, size, late)
        assert self.codes() == expected
        possible, self.recipients = self.model.mail and self.model.recipients > 0, self.model.recipients
        if possible:
            self.answers.append(start)
        self.feed(b"DATA\r\n", size)
        if not possible:
            assert self.codes() == [503]
            return
        if start is not None:
            assert self.codes() == [start.code]
            self.model.reset()
            return
        assert self.codes() == [354]
        self.answers.append(final)
        accepted = len(self.accepted)
        self.model.reset()
        stuffed = (
            b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines) + b".\r\n"
        )
        codes = [250 if final is None else final.code, *self.expect(behind)]
        self.feed(stuffed + wire(behind), size, late=late)
        assert self.codes() == codes
        assert self.accepted[accepted:] == (
            [b"".join(line + b"\r\n" for line in lines)] if final is None else []
        )

    @rule(
        commands=ENVELOPES,
        size=CUTS,
        late=st.booleans(),
        start=answers,
        chunks=st.lists(MESSAGES, min_size=1, max_size=3),
        final=answers,
        behind=ENVELOPES,
    )
    def sends_chunks(
        self,
        commands: list[Command],
        size: int,
        late: bool,
        start: Reply | None,
        chunks: list[list[bytes]],
        final: Reply | None,
        behind: list[Command],
    ) -> None:
        """Envelope, chunks and what comes behind them in one group: nothing has to be waited for."""
        codes = self.expect(commands)
        possible, self.recipients = self.model.mail and self.model.recipients > 0, self.model.recipients
        if possible:
            self.answers.append(start)
        if possible and start is None:
            self.answers.append(final)
            codes += [250] * (len(chunks) - 1) + [250 if final is None else final.code]
        else:
            codes += [start.code if possible and start is not None else 503] + [503] * (len(chunks) - 1)
        if possible:
            self.model.reset()
        codes += self.expect(behind)
        octets = [b"".join(line + b"\r\n" for line in lines) for lines in chunks]
        heads = [b"BDAT %d" % len(chunk) for chunk in octets]
        heads[-1] += b" LAST"
        sent = b"".join(head + b"\r\n" + chunk for head, chunk in zip(heads, octets, strict=True))
        accepted, self.message = len(self.accepted), b""
        self.feed(wire(commands) + sent + wire(behind), size, late=late)
        assert self.codes() == codes
        taken = possible and start is None and final is None
        assert self.accepted[accepted:] == ([b"".join(octets)] if taken else [])

    @precondition(lambda self: self.server.session.tls is None)
    @rule(size=CUTS)
    def starts_tls(self, size: int) -> None:
        possible = not self.model.mail
        if possible:
            self.answers.append(None)
        self.feed(b"STARTTLS\r\n", size)
        assert self.codes() == [220 if possible else 503]
        if possible:
            self.server.tls_established(TlsInfo("TLSv1.3", "x"))
            self.model.hello = False

    @invariant()
    def the_session_agrees_with_the_model(self) -> None:
        assert (self.server.session.mail is not None) == self.model.mail
        assert len(self.server.session.recipients) == self.model.recipients
        assert not self.server.closed
        assert self.server.expects == "command"


TestSessions = Sessions.TestCase
TestSessions.settings = settings(max_examples=60, stateful_step_count=12, deadline=None)

TOKENS = st.sampled_from(
    [
        *[
            b"EHLO a\r\n",
            b"MAIL FROM:<a@b>\r\n",
            b"RCPT TO:<c@d>\r\n",
            b"DATA\r\n",
            b"\r\n.\r\n",
            b"RSET\r\n",
        ],
        *[b"STARTTLS\r\n", b"AUTH PLAIN\r\n", b"AUTH LOGIN\r\n", b"AGEAYg==\r\n", b"*\r\n", b"QUIT\r\n"],
        *[b"\r", b"\n", b".", b"\0", b"x", b"AUTH ", b"\xff", b"Y" * 50, b" ", b"\n.\n", b"BDAT 3\r\nabc"],
        *[b"BDAT 2 LAST\r\n\r\n", b"BDAT 0 LAST\r\n", b"BDAT 70\r\n", b"BDAT 4\r\n\nx\r\n", b"BDAT x\r\n"],
        *["MAIL FROM:<é@b> SMTPUTF8\r\n".encode(), "RCPT TO:<é@d> NOTIFY=DELAY\r\n".encode()],
    ]
)
SEGMENTS = st.lists(st.lists(TOKENS, max_size=4).map(b"".join), max_size=14)
SERVICES = st.sampled_from(["smtp", "submission", "submissions"])


def converse(service: Service, segments: list[bytes], said: list[Reply | None]) -> tuple[list[str], bytes]:
    """The events in words and the octets sent, for a driver that goes round its answers."""
    limits = ServerLimits(command_line=64, auth_line=128, errors=5)
    server = Server(ServerConfig("mx.corp.test", service=service, max_size=60, limits=limits))
    if service == "submissions":
        server.tls_established(TlsInfo("TLSv1.3", "x"))
    server.greeting()
    told, sent, turn = [], b"", 0
    for segment in segments:
        server.receive(segment)
        while (event := server.next_event()) is not Idle.NEED_INPUT:
            if event is Idle.PAUSED:
                server.tls_established(TlsInfo("TLSv1.3", "x"))
            elif isinstance(event, events.DataChunk):
                told.append("Chunk")
            else:
                told.append(repr(event))
            if isinstance(event, events.Question):
                answer, turn = said[turn % len(said)], turn + 1
                server.accept() if answer is None else server.answer(answer)
        sent += server.output()
    return told, sent


@settings(max_examples=150, deadline=None)
@given(SERVICES, SEGMENTS, st.lists(answers, min_size=1, max_size=4))
def test_nothing_a_client_sends_breaks_the_engine(
    service: Service, segments: list[bytes], said: list[Reply | None]
) -> None:
    note(repr(segments))
    told, sent = converse(service, [segment for segment in segments if segment], said)
    parser = ReplyParser()
    parser.feed(sent)
    while parser.next_reply() is not None:
        pass
    assert not parser.pending
    if any("Closed" in event for event in told):
        assert "Closed" in told[-1]
        assert sum("Closed" in event for event in told) == 1


@settings(max_examples=150, deadline=None)
@given(SERVICES, st.lists(TOKENS, max_size=14), st.lists(answers, min_size=1, max_size=4))
def test_octets_cut_anywhere_say_the_same(
    service: Service, tokens: list[bytes], said: list[Reply | None]
) -> None:
    """Each token alone: so that nothing is said before its time, which only the clock could tell."""
    whole = converse(service, tokens, said)
    single = converse(service, [bytes([octet]) for token in tokens for octet in token], said)
    assert [event for event in whole[0] if event != "Chunk"] == [
        event for event in single[0] if event != "Chunk"
    ]
    assert whole[1] == single[1]
