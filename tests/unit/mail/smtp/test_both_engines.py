"""Our client talks to our server, every octet cut anywhere; and the client talks to anything at all."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mxfleet.mail.address import Mailbox
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp import events
from mxfleet.mail.smtp.client import BodyWanted, Client, ClientConfig, Failed, Outcome, Ready, Transaction
from mxfleet.mail.smtp.delivery import RecipientResult
from mxfleet.mail.smtp.events import Closed, Idle, StartTls, TlsInfo
from mxfleet.mail.smtp.limits import ServerConfig
from mxfleet.mail.smtp.server import Server

NO = Reply(550, "5.1.1", "No such user")
LATER = Reply(451, "4.3.0", "Later")
ANSWERS = st.sampled_from([None, None, NO, LATER])
LINES = st.lists(st.sampled_from([b"", b".", b"..", b"text", b".x"]), max_size=6)
SIZES = st.integers(1, 70)
TLS = TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384")


class Wire:
    """Both engines, and a driver on each side."""

    def __init__(
        self, size: int, answers: list[Reply | None], final: Reply | None, message: bytes, *, chunking: bool
    ) -> None:
        self.size, self.answers, self.final, self.message = size, answers, final, message
        self.server = Server(ServerConfig("mx.corp.test"))
        self.client = Client(ClientConfig("mx1.peer.test", chunking=chunking))
        self.received: list[bytes] = []
        self.outcomes: list[tuple[RecipientResult, ...]] = []
        self.body = b""
        self.turn = 0
        self.transactions = 2
        self.server.greeting()

    def run(self) -> None:
        while not self.client.closed:
            self.serve()
            for piece in self.cut(self.server.output()):
                self.client.receive(piece)
            self.use()
            for piece in self.cut(self.client.output()):
                self.server.receive(piece)
                self.serve()

    def cut(self, octets: bytes) -> list[bytes]:
        return [octets[at : at + self.size] for at in range(0, len(octets), self.size)]

    def serve(self) -> None:
        while not isinstance(event := self.server.next_event(), Idle):
            match event:
                case events.DataStart():
                    self.body = b""
                    self.server.accept()
                case events.DataChunk(data):
                    self.body += data
                case events.RcptTo():
                    self.say(self.answers[self.turn % len(self.answers)])
                    self.turn += 1
                case events.MessageComplete():
                    if self.final is None:
                        self.received.append(self.body)
                    self.say(self.final)
                case events.Refused() | events.Closed() | events.Reset():
                    pass
                case _:
                    self.server.accept()

    def say(self, reply: Reply | None) -> None:
        self.server.accept() if reply is None else self.server.answer(reply)

    def use(self) -> None:
        while not isinstance(event := self.client.next_event(), Idle):
            match event:
                case StartTls():
                    self.server.tls_established(TLS)
                    self.client.tls_established(TLS)
                case Ready() if self.transactions:
                    self.transactions -= 1
                    recipients = tuple(Mailbox(f"r {n}", "corp.test") for n in range(len(self.answers)))
                    self.client.send(Transaction(Mailbox("a", "b.test"), recipients, len(self.message)))
                case Ready():
                    self.client.quit()
                case BodyWanted():
                    for piece in self.cut(self.message):
                        self.client.body(piece)
                    self.client.end_body()
                case Outcome(results):
                    self.outcomes.append(results)
                case Failed():
                    raise AssertionError(event)


@settings(deadline=None)
@given(SIZES, st.lists(ANSWERS, min_size=1, max_size=4), ANSWERS, LINES, st.booleans())
def test_what_one_sends_the_other_gets_and_both_say_the_same(
    size: int, answers: list[Reply | None], final: Reply | None, lines: list[bytes], chunking: bool
) -> None:
    message = b"".join(line + b"\r\n" for line in lines)
    wire = Wire(size, answers, final, message, chunking=chunking)
    wire.run()
    assert wire.server.closed
    assert wire.server.session.protocol == "ESMTPS"
    for results in wire.outcomes:
        for answer, result in zip(answers, results, strict=True):
            decisive = answer or final
            expected = {None: "delivered", NO: "failed", LATER: "deferred"}[decisive]
            assert (result.status, result.stage) == (expected, "rcpt" if answer else "message")
            assert decisive is None or result.reply == decisive
    delivered = None in answers and final is None
    assert wire.received == ([message, message] if delivered else [])
    assert len(wire.outcomes) == 2


HELLO = b"220 hello\r\n250-x\r\n250 PIPELINING\r\n"
SPOKEN = st.sampled_from(
    [
        *[
            b"220 x\r\n",
            b"250 x\r\n",
            b"250-PIPELINING\r\n",
            b"250-STARTTLS\r\n",
            b"250-CHUNKING\r\n",
            b"250-SIZE 10\r\n",
            b"354 x\r\n",
        ],
        *[
            b"421 x\r\n",
            b"451 4.0.0 x\r\n",
            b"550 5.1.1 x\r\n",
            b"552 x\r\n",
            b"250",
            b"-",
            b"\r",
            b"\n",
            b"\0",
            b"x\r\n",
        ],
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(SPOKEN, max_size=24), st.booleans(), st.booleans(), st.booleans())
def test_nothing_a_server_says_breaks_the_client(
    said: list[bytes], lmtp: bool, eager: bool, chunking: bool
) -> None:
    client = Client(ClientConfig("a.test", protocol="lmtp" if lmtp else "smtp"))
    recipients = (Mailbox("b", "c.test"), Mailbox("d", "c.test"))
    sent, outcomes, delivered, told = 0, 0, False, []
    hello = b"220 hello\r\n250-x\r\n250-CHUNKING\r\n250 PIPELINING\r\n" if chunking else HELLO
    for octets in [hello, *said, b""]:
        client.receive(octets)
        while not isinstance(event := client.next_event(), Idle):
            told.append(event)
            if isinstance(event, StartTls):
                client.tls_established(TLS)
            elif isinstance(event, Ready):
                client.send(Transaction(None, recipients))
                sent += 1
            elif isinstance(event, BodyWanted):
                client.body(b"x\r\n" * 22_000)
                if eager:
                    client.end_body()
            elif isinstance(event, Outcome):
                outcomes += 1
                assert [result.recipient for result in event.results] == list(recipients)
                delivered = delivered or any(result.status == "delivered" for result in event.results)
        assert client.output().isascii()
    assert client.closed
    assert isinstance(told[-1], Closed)
    assert outcomes == sent
    if not eager:
        assert not delivered  # the final dot was never sent
