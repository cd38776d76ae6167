"""The SMTP and LMTP client as a sans-IO engine (RFC 5321, RFC 2033): replies in, events and commands out.

    client = Client(ClientConfig("mx1.example.org"))
    client.receive(octets)
    while not isinstance(event := client.next_event(), Idle):
        match event:
            case Ready(): client.send(Transaction(...))
            case BodyWanted(): client.body(piece), as often as needed, then client.end_body()
            case Outcome(results): ...
    transport.write(client.output())

The order is: greeting, EHLO, STARTTLS and EHLO again, AUTH, then `Ready`; after each `Outcome` another `Ready`
where the session can go on.
"""

from mxfleet.errors import SmtpError
from mxfleet.mail.reply import ReplyParser
from mxfleet.mail.smtp import client_events as ours
from mxfleet.mail.smtp.client_engine import ClientEngine
from mxfleet.mail.smtp.client_events import BodyWanted, ClientConfig, ClientEvent, Failed, Outcome, Ready
from mxfleet.mail.smtp.data import ChunkWriter
from mxfleet.mail.smtp.delivery import Delivery, Transaction
from mxfleet.mail.smtp.events import Idle, TlsInfo
from mxfleet.mail.smtp.opening import Step

__all__ = ["BodyWanted", "Client", "ClientConfig", "Failed", "Outcome", "Ready", "Transaction"]


class Client(ClientEngine):
    """One connection's client side; no socket, no clock."""

    # ── what the driver sees ────────────────────────────────────────────────────────────────────────────

    @property
    def tls(self) -> TlsInfo | None:
        """The TLS that is in use."""
        return self._opening.tls

    @property
    def expects(self) -> str:
        """The stage whose reply is awaited, or `handshake`, `body` (our own turn), `idle`, `nothing`.

        The driver's timer goes by it (RFC 5321 §4.5.3.2).
        """
        if self.closed:
            return "nothing"
        if self._handshake:
            return "handshake"
        return self._stage if self._awaiting or self._writer is not None else "idle"

    @property
    def in_doubt(self) -> int:
        """For how many recipients the whole message was sent, final dot or LAST included, and no answer has come."""
        return len(self._delivery.open) if self._delivery is not None and self._sent else 0

    def output(self) -> bytes:
        """The octets to send now; each is returned once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def next_event(self) -> ClientEvent | Idle:
        """The next event, or why there is none."""
        if self._events:
            return self._events.popleft()
        return Idle.PAUSED if self._handshake else Idle.NEED_INPUT

    # ── what the driver does ────────────────────────────────────────────────────────────────────────────

    def receive(self, data: bytes) -> None:
        """Take octets from the server; b"" says that it closed the connection."""
        if not data:
            self._lose(ours.LOST, "disconnected")
        elif self._handshake:
            self._lose(ours.NOT_SMTP, "protocol")
        elif not self.closed:
            self._parser.feed(data)
            self._read_replies()

    def tls_established(self, tls: TlsInfo) -> None:
        """The handshake is done, after StartTls or, for TLS from the first octet, before the greeting."""
        self._opening.tls = tls
        if self._handshake:
            self._handshake = False
            self._parser = ReplyParser()
            self._send(self._opening.hello())

    def send(self, transaction: Transaction) -> None:
        """Begin a transaction; only after Ready and before anything else is begun."""
        if not self._usable or self._delivery is not None or self.expects != "idle":
            raise SmtpError(f"a transaction cannot begin now: the session expects {self.expects}")
        delivery = Delivery(transaction, self.extensions)
        delivery.check()
        # Without PIPELINING each chunk would have to wait for the answer to the one before.
        whole = self._config.chunking and not transaction.probe
        self._chunked = whole and {"CHUNKING", "PIPELINING"} <= self.extensions.keys()
        if not delivery.settled:
            self._steps.extend(self._envelope(delivery))
        self._delivery = delivery
        self._go_on(delivery)

    def body(self, piece: bytes) -> None:
        """A piece of the message, CRLF line endings, cut anywhere; ignored once the transaction has failed.

        A bare CR or LF is never sent: the transaction fails and the connection closes without the final dot.
        """
        if self._write(lambda writer: writer.push(piece)) and isinstance(self._writer, ChunkWriter):
            self._awaiting.append(Step("body"))

    def end_body(self) -> None:
        """The message is complete."""
        delivery = self._delivery
        if self._writer is None or delivery is None:
            return
        self._write(lambda writer: writer.finish())
        if self.closed:
            return
        self._writer = None
        # RFC 2033 §4.2, §4.3: LMTP answers once for each recipient that it accepted.
        answers = len(delivery.accepted) if self._config.protocol == "lmtp" else 1
        self._awaiting.extend([Step("message")] * answers)

    def quit(self) -> None:
        """End the session in good order (RFC 5321 §4.1.1.10); Closed follows."""
        if self._delivery is not None:
            raise SmtpError("a transaction is in progress: abort(), or wait for its outcome")
        if not self.closed:
            self._send(Step("quit", "QUIT"))

    def timeout(self) -> None:
        """The other side took too long."""
        self._lose(ours.TIMED_OUT, "timeout")

    def abort(self) -> None:
        """End at once, for reasons of our own."""
        self._lose(ours.SHUTTING_DOWN, "shutdown")
