"""Targets: both engines, replies, the message between DATA and the dot."""

from fuzz.inputs import parts, pieces
from mxfleet.errors import SmtpError
from mxfleet.mail.address import Mailbox
from mxfleet.mail.reply import Reply, ReplyParser
from mxfleet.mail.smtp import events
from mxfleet.mail.smtp.client import BodyWanted, Client, ClientConfig, Outcome, Ready, Transaction
from mxfleet.mail.smtp.data import BadLineEnding, DataReader, DataWriter, check_line_endings
from mxfleet.mail.smtp.events import Idle, TlsInfo
from mxfleet.mail.smtp.limits import ServerConfig, ServerLimits, Service
from mxfleet.mail.smtp.server import Server

TLS = TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384")
SERVICES: tuple[Service, ...] = ("smtp", "submission", "submissions")
ANSWERS = (None, None, None, Reply(550, "5.7.1", "No"), Reply(451, "4.7.1", "Later"), None)
LIMITS = ServerLimits(command_line=512, auth_line=512, errors=20)


def server(data: bytes) -> None:
    """An engine and a driver: first octet the service, second the answers, then segments."""
    flags, body = data[:2].ljust(2, b"\0"), data[2:]
    service = SERVICES[flags[0] % 3]
    engine = Server(ServerConfig("mx.corp.test", service=service, max_size=2000, limits=LIMITS))
    if service == "submissions":
        engine.tls_established(TLS)
    engine.greeting()
    driver = _Driver(engine, flags[1])
    for segment in parts(body, 1):
        engine.receive(segment)
        driver.pump()
    engine.receive(b"")
    driver.pump()
    assert engine.closed, "the client has gone"
    _all_replies(driver.sent)


class _Driver:
    """Answers in turn, and checks what the engine says of messages."""

    def __init__(self, engine: Server, turn: int) -> None:
        self.engine, self.turn = engine, turn
        self.sent, self.message, self.ended = b"", b"", False

    def pump(self) -> None:
        while (event := self.engine.next_event()) is not Idle.NEED_INPUT:
            assert not self.ended, "something after the end"
            if event is Idle.PAUSED:
                self.engine.tls_established(TLS)
            elif not isinstance(event, Idle):
                self._take(event)
        self.sent += self.engine.output()

    def _take(self, event: events.Event) -> None:
        match event:
            case events.DataStart():
                self.message = b""
                assert event.recipients, "a message for nobody"
            case events.DataChunk(data):
                self.message += data
            case events.MessageComplete():
                check_line_endings(self.message)
                assert self.message.endswith(b"\r\n") or not self.message
                assert event.size == len(self.message) <= 2000
            case events.Closed():
                self.ended = True
            case events.Auth():
                assert self.engine.session.tls is not None, "a password in the clear"
        if isinstance(event, events.Question):
            answer = ANSWERS[self.turn % len(ANSWERS)]
            self.turn += 1
            self.engine.accept() if answer is None else self.engine.answer(answer)


def _all_replies(sent: bytes) -> None:
    parser = ReplyParser()
    parser.feed(sent)
    while parser.next_reply() is not None:
        pass
    assert not parser.pending, "half a reply"


def client(data: bytes) -> None:
    """A server that says anything: first octet how we behave, then segments."""
    flags, body = data[:1].ljust(1, b"\0")[0], data[1:]
    config = ClientConfig("mx1.corp.test", protocol="lmtp" if flags & 1 else "smtp", chunking=not flags & 2)
    engine = Client(config)
    recipients = (Mailbox("a", "b.test"), Mailbox("é", "b.test"))
    sent = outcomes = 0
    wire = b""
    for segment in [*parts(body, 1), b""]:
        engine.receive(segment)
        while not isinstance(event := engine.next_event(), Idle):
            match event:
                case events.StartTls():
                    engine.tls_established(TLS)
                case Ready():
                    engine.send(Transaction(Mailbox("s", "t.test"), recipients[: 1 + bool(flags & 4)]))
                    sent += 1
                case BodyWanted():
                    engine.body(b".x\r\n..\r\n" if flags & 8 else b"x\n.\r\nMAIL FROM:<a@b>\r\n")
                    engine.end_body()
                case Outcome(results):
                    outcomes += 1
                    assert flags & 8 or all(result.status != "delivered" for result in results)
        wire += engine.output()
    assert engine.closed
    assert sent == outcomes, "a transaction without an outcome"
    check_line_endings(wire)


def replies(data: bytes) -> None:
    """What remote hosts answer, cut anywhere."""
    size, octets = max(1, data[:1].ljust(1, b"\1")[0]), data[1:]
    parser, whole = ReplyParser(), ReplyParser()
    whole.feed(octets)
    for piece in pieces(octets, size):
        parser.feed(piece)
        while True:
            try:
                reply = parser.next_reply()
            except SmtpError:
                return
            if reply is None:
                break
            assert reply == whole.next_reply()
            again = ReplyParser()
            again.feed(reply.render())
            first = again.next_reply()
            assert first is not None, "a reply that we render is one"
            assert first.code == reply.code
            check_line_endings(reply.render())


def stuffing(data: bytes) -> None:
    """Written for the wire and read back: the same octets, or refused; never an end before the end."""
    size, octets = max(1, data[:1].ljust(1, b"\1")[0]), data[1:]
    writer, reader = DataWriter(), DataReader()
    try:
        wire = b"".join(writer.push(piece) for piece in pieces(octets, size)) + writer.finish()
    except BadLineEnding:
        return
    message = b""
    fed = b""
    for piece in pieces(wire + b"NOOP\r\n", size):
        got, rest = reader.push(piece)
        message, fed = message + got, fed + piece
        if rest is not None:
            assert fed == wire + rest, "the end is where the writer put it"
            break
    complete = octets if octets.endswith(b"\r\n") or not octets else octets + b"\r\n"
    assert message == complete
