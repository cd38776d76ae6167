"""What the client engine does with each reply; `client.Client` is how a driver sees it."""

from collections import deque
from collections.abc import Callable

from mxfleet.errors import SmtpError
from mxfleet.mail.reply import Reply, ReplyParser
from mxfleet.mail.smtp import client_events as ours
from mxfleet.mail.smtp.client_events import BodyWanted, ClientConfig, ClientEvent, Failed, Outcome, Ready
from mxfleet.mail.smtp.data import BadLineEnding, ChunkWriter, DataWriter
from mxfleet.mail.smtp.delivery import WOULD_BE_TAKEN, Delivery, Extensions, Stage
from mxfleet.mail.smtp.events import Closed, CloseReason, StartTls
from mxfleet.mail.smtp.opening import Move, Opening, Step


class ClientEngine:
    """One session: what was sent, what its answers are to be about."""

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
        self._chunked = False  # this transaction's message goes by BDAT
        self._writer: DataWriter | ChunkWriter | None = None  # while the message is being sent
        self._handshake = False
        self._usable = False  # Ready was reported
        self.closed = False

    @property
    def extensions(self) -> Extensions:
        """What the last EHLO offered."""
        return self._opening.extensions

    # ── inside: the session ─────────────────────────────────────────────────────────────────────────────

    @property
    def _stage(self) -> Stage:
        if self._writer is not None:
            return "body"
        return self._awaiting[0].stage if self._awaiting else "reset"

    @property
    def _sent(self) -> bool:
        """Whether the message is under way to its end, and not answered."""
        return any(step.stage == "message" for step in self._awaiting)

    def _read_replies(self) -> None:
        try:
            while not (self.closed or self._handshake) and (reply := self._parser.next_reply()) is not None:
                self._take(reply)
        except SmtpError as error:
            self._lose(Reply(451, "4.5.0", str(error)), "protocol")

    def _take(self, reply: Reply) -> None:
        if reply.code == 421:  # RFC 5321 §3.8: may come at any time
            self._lose(reply, "refused", remote=True)
        elif self._writer is not None and not self._awaiting and not reply.positive:
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
        self._out.append(step.line.encode("utf-8") + b"\r\n")
        self._awaiting.append(step)

    # ── inside: the transaction ─────────────────────────────────────────────────────────────────────────

    def _envelope(self, delivery: Delivery) -> list[Step]:
        utf8 = delivery.utf8
        steps = [Step("mail", delivery.mail_command(), utf8=utf8)]
        steps += [Step("rcpt", delivery.rcpt_command(position), position, utf8) for position in delivery.open]
        without_data = self._chunked or delivery.transaction.probe
        return steps if without_data else [*steps, Step("data", "DATA")]

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
        if delivery.transaction.probe:
            delivery.settle_all("rcpt", WOULD_BE_TAKEN)
        if self._chunked and not delivery.settled:
            self._writer = ChunkWriter()
            self._events.append(BodyWanted())
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
        elif step.stage == "body":
            self._take_chunk(reply, delivery)
        else:
            self._take_message(reply, delivery)
        if self.closed:
            return
        self._awaiting.popleft()
        self._go_on(delivery)

    def _take_chunk(self, reply: Reply, delivery: Delivery) -> None:
        """RFC 3030 §2: after a refused chunk no other is sent, and RSET ends the transaction."""
        if reply.positive:
            return
        self._writer = None
        if self._config.protocol == "lmtp":
            # How many answers LAST will get, where it is under way already, nothing says.
            self._lose(reply, "refused", remote=True)
        else:
            delivery.settle_all("body", reply)

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
            # The answer to the empty message of _take_data, or to a last chunk behind a refused one.
            delivery.begun = self._chunked
            return
        if self._config.protocol == "lmtp":
            delivery.settle_next(reply)
        else:
            delivery.settle_all("message", reply)
        delivery.begun = False

    def _write(self, stuff: Callable[[DataWriter | ChunkWriter], bytes]) -> bool:
        """Send a piece of the message; whether there was something to send."""
        if self._writer is None:
            return False
        try:
            octets = stuff(self._writer)
        except BadLineEnding:
            self._lose(ours.BAD_MESSAGE, "protocol")
            return False
        self._out.append(octets)
        return octets != b""

    # ── inside: the end ─────────────────────────────────────────────────────────────────────────────────

    def _lose(self, reply: Reply, reason: CloseReason, *, remote: bool = False) -> None:
        """The connection is of no more use; what is open in it gets this reply."""
        if self.closed:
            return
        stage = self._stage
        if stage == "quit":
            reason = "quit"
        elif (delivery := self._delivery) is not None:
            delivery.settle_all(stage, reply, remote=remote, doubtful=self._sent and not remote)
            self._events.append(Outcome(delivery.results))
        elif self._take_back_ready():
            self._events.append(Failed("mail", reply, remote))
        elif not self._usable:
            self._events.append(Failed("starttls" if self._handshake else stage, reply, remote))
        self._close(reason, str(reply))

    def _take_back_ready(self) -> bool:
        """Whether the driver has not yet heard of a Ready that is not true any more."""
        void = bool(self._events) and isinstance(self._events[-1], Ready)
        if void:
            self._events.pop()
        return void

    def _close(self, reason: CloseReason, detail: str = "") -> None:
        self.closed, self._handshake = True, False
        self._delivery = self._writer = None
        self._steps.clear()
        self._awaiting.clear()
        self._events.append(Closed(reason, detail))
