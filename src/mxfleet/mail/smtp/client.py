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

from collections import deque
from collections.abc import Callable

from mxfleet.errors import SmtpError
from mxfleet.mail.reply import Reply, ReplyParser
from mxfleet.mail.smtp import client_events as ours
from mxfleet.mail.smtp.client_events import BodyWanted, ClientConfig, ClientEvent, Failed, Outcome, Ready
from mxfleet.mail.smtp.data import BadLineEnding, DataWriter
from mxfleet.mail.smtp.delivery import Delivery, Extensions, Stage, Transaction
from mxfleet.mail.smtp.events import Closed, CloseReason, Idle, StartTls, TlsInfo
from mxfleet.mail.smtp.opening import Move, Opening, Step

__all__ = ["BodyWanted", "Client", "ClientConfig", "Failed", "Outcome", "Ready", "Transaction"]


class Client:
    """One connection's client side; no socket, no clock."""

    def __init__(self, config: ClientConfig) -> None:
        """Begin before the greeting."""
        self._config = config
        self._opening = Opening(config)
        self._parser = ReplyParser()
        self._out: list[bytes] = []
        self._events: deque[ClientEvent] = deque()
        self._steps: deque[Step] = deque()  # commands still to be sent
        self._awaiting: deque[Step] = deque([Step("greeting")])  # commands whose reply is still to come
        self._delivery: Delivery | None = None
        self._writer: DataWriter | None = None  # while the message is being sent
        self._handshake = False
        self._usable = False  # Ready was reported
        self.closed = False

    # ── what the driver sees ────────────────────────────────────────────────────────────────────────────

    @property
    def extensions(self) -> Extensions:
        """What the last EHLO offered."""
        return self._opening.extensions

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
        if (obstacle := delivery.obstacle()) is not None:
            delivery.settle_all("mail", obstacle, remote=False)
        else:
            recipients = range(len(transaction.recipients))
            rcpt = [Step("rcpt", delivery.rcpt_command(position), position) for position in recipients]
            self._steps.extend([Step("mail", delivery.mail_command()), *rcpt, Step("data", "DATA")])
        self._delivery = delivery
        self._go_on(delivery)

    def body(self, piece: bytes) -> None:
        """A piece of the message, CRLF line endings, cut anywhere; ignored once the transaction has failed.

        A bare CR or LF is never sent: the transaction fails and the connection closes without the final dot.
        """
        self._write(lambda writer: writer.push(piece))

    def end_body(self) -> None:
        """The message is complete."""
        delivery = self._delivery
        if self._writer is None or delivery is None:
            return
        self._write(DataWriter.finish)
        if self.closed:
            return
        self._writer = None
        # RFC 2033 §4.2: LMTP answers once for each recipient that it accepted.
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

    # ── inside: the session ─────────────────────────────────────────────────────────────────────────────

    @property
    def _stage(self) -> Stage:
        if self._writer is not None:
            return "body"
        return self._awaiting[0].stage if self._awaiting else "reset"

    def _read_replies(self) -> None:
        try:
            while not (self.closed or self._handshake) and (reply := self._parser.next_reply()) is not None:
                self._take(reply)
        except SmtpError as error:
            self._lose(Reply(451, "4.5.0", str(error)), "protocol")

    def _take(self, reply: Reply) -> None:
        if reply.code == 421:  # RFC 5321 §3.8: may come at any time
            self._lose(reply, "refused", remote=True)
        elif self._writer is not None and not reply.positive:
            self._lose(reply, "refused", remote=True)  # it did not wait for the end of the message
        elif not self._awaiting:
            self._lose(ours.NOT_SMTP, "protocol")
        elif self._delivery is not None:
            self._take_in_transaction(self._awaiting[0], reply, self._delivery)
        else:
            self._take_in_session(self._awaiting[0], reply)

    def _take_in_session(self, step: Step, reply: Reply) -> None:
        if step.stage == "quit":
            self._close("quit")
            return
        after_reset = step.stage == "reset" and reply.positive
        move = Ready(self.extensions) if after_reset else self._opening.take(step, reply)
        if isinstance(move, StartTls) and self._parser.pending:
            # RFC 3207 §4.2: what came in the clear must not count inside TLS.
            raise SmtpError("the other side sent more in the clear behind its answer to STARTTLS")
        self._awaiting.popleft()
        self._make(move)

    def _make(self, move: Move) -> None:
        if isinstance(move, Step):
            self._send(move)
            return
        self._events.append(move)
        if isinstance(move, Ready):
            self._usable = True
        elif isinstance(move, StartTls):
            self._handshake = True
        else:
            self._out.append(b"QUIT\r\n")
            self._close("refused", str(move.reply))

    def _send(self, step: Step) -> None:
        self._out.append(step.line.encode("ascii") + b"\r\n")
        self._awaiting.append(step)

    # ── inside: the transaction ─────────────────────────────────────────────────────────────────────────

    def _go_on(self, delivery: Delivery) -> None:
        """Send what may be sent, or report the outcome where nothing more is to come."""
        together = "PIPELINING" in self.extensions  # RFC 2920
        while self._steps and (together or not self._awaiting):
            if delivery.settled:
                self._steps.clear()
                break
            self._send(self._steps.popleft())
        if self._steps or self._awaiting or self._writer is not None:
            return
        self._delivery = None
        self._events.append(Outcome(delivery.results))
        if delivery.begun:
            self._send(Step("reset", "RSET"))
        else:
            self._make(Ready(self.extensions))

    def _take_in_transaction(self, step: Step, reply: Reply, delivery: Delivery) -> None:
        if reply.positive != (reply.code < 300) and step.stage != "data":
            raise SmtpError(f"reply {reply.code} to {step.stage}")
        if step.stage == "mail":
            delivery.begun = reply.positive
            if not reply.positive:
                delivery.settle_all("mail", reply)
        elif step.stage == "rcpt":
            delivery.answer_recipient(step.position, reply)
        elif step.stage == "data":
            self._take_data(reply, delivery)
        else:
            self._take_message(reply, delivery)
        self._awaiting.popleft()
        self._go_on(delivery)

    def _take_data(self, reply: Reply, delivery: Delivery) -> None:
        if not reply.positive:
            delivery.settle_all("data", reply)
        elif reply.code != 354:
            raise SmtpError(f"reply {reply.code} to DATA")
        elif not delivery.settled:
            self._writer = DataWriter()
            self._events.append(BodyWanted())
        elif self._config.protocol == "smtp":
            # RFC 2920 §3.1: DATA was pipelined and no recipient accepted; nothing is what we send.
            self._out.append(b".\r\n")
            self._awaiting.append(Step("message"))
        else:
            raise SmtpError("reply 354 to DATA without a recipient")

    def _take_message(self, reply: Reply, delivery: Delivery) -> None:
        if delivery.settled:
            pass  # the answer to the empty message of _take_data
        elif self._config.protocol == "lmtp":
            delivery.settle_next(reply)
        else:
            delivery.settle_all("message", reply)
        delivery.begun = False

    def _write(self, stuff: Callable[[DataWriter], bytes]) -> None:
        if self._writer is None:
            return
        try:
            self._out.append(stuff(self._writer))
        except BadLineEnding:
            self._lose(ours.BAD_MESSAGE, "protocol")

    # ── inside: the end ─────────────────────────────────────────────────────────────────────────────────

    def _lose(self, reply: Reply, reason: CloseReason, *, remote: bool = False) -> None:
        """The connection is of no more use; what is open in it gets this reply."""
        if self.closed:
            return
        stage = self._stage
        if stage == "quit":
            reason = "quit"
        elif (delivery := self._delivery) is not None:
            delivery.settle_all(stage, reply, remote=remote, doubtful=stage == "message" and not remote)
            self._events.append(Outcome(delivery.results))
        elif not self._usable:
            self._events.append(Failed("starttls" if self._handshake else stage, reply, remote))
        self._close(reason, str(reply))

    def _close(self, reason: CloseReason, detail: str = "") -> None:
        self.closed, self._handshake = True, False
        self._delivery = self._writer = None
        self._steps.clear()
        self._awaiting.clear()
        self._events.append(Closed(reason, detail))
