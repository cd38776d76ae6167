"""The thin asyncio.Protocol around the server engine: transport, TLS, timers, flow control, answers."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from mxfleet.mail.address import Mailbox
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp import events, replies
from mxfleet.mail.smtp.events import Idle
from mxfleet.mail.smtp.limits import ServerConfig
from mxfleet.mail.smtp.server import Server
from mxfleet.mxd import policy
from mxfleet.mxd.accounts import Account
from mxfleet.mxd.desk import Client, Desk
from mxfleet.mxd.login import login
from mxfleet.mxd.transaction import Transaction
from mxfleet.mxd.upgrade import upgrade

BUFFERED: Final = 65_536  # octets that may wait in a paused engine
LINGER: Final = 10.0  # seconds for a client to take its last reply


def plain_address(host: str) -> str:
    """The address of a socket that serves both families: `::ffff:192.0.2.1` is `192.0.2.1`."""
    return host.removeprefix("::ffff:") if "." in host else host.partition("%")[0]


class Session(asyncio.Protocol):
    """One connection; everything it shares with others is the desk's."""

    def __init__(
        self,
        desk: Desk,
        config: ServerConfig,
        admit: Callable[["Session"], Reply | None],
        ended: Callable[["Session"], None],
    ) -> None:
        """`admit` is called when the client is here and may refuse it; `ended` at the end of what was admitted."""
        self.desk = desk
        self.address = ""
        self.deadline = float("inf")
        self._engine = Server(config)
        self._admit = admit
        self._ended = ended
        self._transport: asyncio.Transport
        self._local = ""
        self._pumping = False
        self._upgrading = False
        self._early: list[bytes] = []  # decrypted before the task that upgraded has noticed
        self._paused: set[str] = set()  # why reading is paused
        self._draining = False
        self._account: Account | None = None
        self._recipients: list[Mailbox] = []
        self._transaction: Transaction | None = None
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            events.RcptTo: self._rcpt,
            events.MailFrom: self._mail,
            events.DataStart: self._data_start,
            events.DataChunk: self._data_chunk,
            events.MessageComplete: self._complete,
            events.Hello: self._hello,
            events.Reset: self._reset,
            events.StartTls: self._starttls,
            events.Auth: self._auth,
            events.Refused: self._refused,
            events.Closed: self._closed,
        }

    # ── asyncio ─────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet; with implicit TLS (RFC 8314 §3.3) the handshake is done already."""
        self._transport = cast("asyncio.Transport", transport)
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self.address = plain_address(peer[0]) if peer else "?"
        self._local = plain_address(local[0]) if local else ""
        connection = transport.get_extra_info("ssl_object")
        if connection is not None:
            self._engine.tls_established(self.desk.configuration.certificates.info(connection))
            self.desk.counters.add("tls_sessions")
        self._engine.greeting(self._admit(self))
        self._pump()

    def data_received(self, data: bytes) -> None:
        """Octets from the client."""
        if self._upgrading:
            self._early.append(data)
            return
        self._engine.receive(data)
        self._pump()
        if self._engine.buffered > BUFFERED:
            self._pause("engine")

    def connection_lost(self, _error: Exception | None) -> None:
        """The client is gone; a commit under way goes on, what was not complete is dropped."""
        self._upgrading = False
        self._engine.receive(b"")
        self._pump()
        self._ended(self)

    def pause_writing(self) -> None:
        """The client does not read its replies: it will not be read either."""
        self._pause("replies")

    def resume_writing(self) -> None:
        """It reads again."""
        self._resume("replies")

    # ── the worker ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def busy(self) -> bool:
        """Whether a transaction or an answer is under way."""
        return self._engine.expects != "command" or self._engine.session.mail is not None

    def expire(self) -> None:
        """The deadline has passed (RFC 5321 §4.5.3.2)."""
        if self._upgrading or self._engine.closed:
            self._transport.abort()
        else:
            self._engine.timeout()
            self._pump()

    def drain(self) -> None:
        """The service ends: now where nothing is under way, else after the transaction."""
        self._draining = True
        if not self.busy:
            self._engine.shutdown()
            self._pump()

    def abort(self) -> None:
        """The service does not wait any longer."""
        self._transport.abort()

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────

    def _pump(self) -> None:
        """Handle what the engine has to say, send what it wants to send."""
        engine, handlers = self._engine, self._handlers
        self._pumping, progress = True, False
        while not isinstance(event := engine.next_event(), Idle):
            progress = True
            handlers[type(event)](event)
            if self._draining and not engine.closed and not self.busy:
                engine.shutdown()
        self._pumping = False
        if octets := engine.output():
            self._transport.write(octets)
        if engine.closed:
            self._transport.close()
            self.deadline = self._now() + LINGER
        elif progress:
            self._set_deadline()

    def _set_deadline(self) -> None:
        limits = self._engine.session.config.limits
        match self._engine.expects:
            case "command":
                self.deadline = self._now() + limits.command_seconds
            case "data":
                self.deadline = self._now() + limits.data_seconds
            case "handshake":
                self.deadline = self._now() + limits.handshake_seconds
            case _:
                self.deadline = float("inf")

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _pause(self, why: str) -> None:
        if not self._paused and not self._transport.is_closing():
            self._transport.pause_reading()
        self._paused.add(why)

    def _resume(self, why: str) -> None:
        if self._paused:
            self._paused.discard(why)
            if not self._paused and not self._transport.is_closing():
                self._transport.resume_reading()

    def _answer(self, reply: Reply | None) -> None:
        """Answer a question, at once or later; the client may have gone meanwhile. None is yes."""
        if self._engine.closed:
            return
        if reply is None:
            self._engine.accept()
        else:
            self._engine.answer(reply)
        if not self._pumping:
            if self._draining and not self.busy:
                self._engine.shutdown()
            self._pump()
            self._resume("engine")

    # ── one method an event ─────────────────────────────────────────────────────────────────────────────

    def _hello(self, _event: events.Hello) -> None:
        self._engine.accept()

    def _mail(self, event: events.MailFrom) -> None:
        self._recipients = []
        refusal = policy.sender(event.reverse_path, self._account.may_send_as) if self._account else None
        if refusal is None:
            self._engine.accept()
        else:
            self._log_refusal("senders_refused", refusal, sender=str(event.reverse_path or ""))
            self._engine.answer(refusal)

    def _rcpt(self, event: events.RcptTo) -> None:
        directory = self.desk.configuration.directory
        found = policy.recipient(directory, event.mailbox, authenticated=self._account is not None)
        if isinstance(found, Mailbox):
            self._recipients.append(found)
            self.desk.counters.add("recipients_accepted")
            self._engine.accept()
        else:
            self._log_refusal("recipients_refused", found, recipient=str(event.mailbox))
            self._engine.answer(found)

    def _data_start(self, event: events.DataStart) -> None:
        recipients = tuple(dict.fromkeys(self._recipients))
        self._transaction = Transaction(self.desk, self._client(), event.mail, recipients)
        self._engine.accept()

    def _data_chunk(self, event: events.DataChunk) -> None:
        transaction = self._transaction
        if transaction is not None:
            transaction.push(event.data, self._caught_up)
            if transaction.ahead:
                self._pause("spool")

    def _caught_up(self) -> None:
        transaction = self._transaction
        if transaction is not None and transaction.failed is not None:
            self._transaction = None
            if self._engine.expects == "data":
                self._engine.fail_message(transaction.failed)
                self._pump()
        if transaction is None or not transaction.ahead or transaction.failed is not None:
            self._resume("spool")

    def _complete(self, event: events.MessageComplete) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is None:
            self._engine.answer(replies.SHUTTING_DOWN)  # cannot be: DataStart made one
        else:
            transaction.finish(event.size, self._answer)

    def _reset(self, _event: events.Reset) -> None:
        self._recipients = []
        self._drop()

    def _starttls(self, _event: events.StartTls) -> None:
        self._engine.accept()
        if self._engine.closed:  # it had sent more in the clear (RFC 3207 §4.2)
            return
        self._transport.write(self._engine.output())
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
        self._engine.tls_established(self.desk.configuration.certificates.info(connection))
        early, self._early = self._early, []
        for octets in early:
            self._engine.receive(octets)
        self._set_deadline()
        self._pump()

    def _auth(self, event: events.Auth) -> None:
        self.desk.run(self._login(event))

    async def _login(self, event: events.Auth) -> None:
        found = await login(self.desk, self.address, event)
        if isinstance(found, Reply):
            self._answer(found)
        else:
            self._account = found
            self._answer(None)

    def _refused(self, event: events.Refused) -> None:
        self._log_refusal("protocol_errors", event.reply, command=event.command)

    def _closed(self, event: events.Closed) -> None:
        self._drop()
        if event.reason not in ("quit", "disconnected", "shutdown", "refused"):
            self.desk.log.info("closed", client=self.address, reason=event.reason, detail=event.detail)

    def _drop(self) -> None:
        if self._transaction is not None:
            self._transaction.drop()
            self._transaction = None

    def _log_refusal(self, counter: str, reply: Reply, **facts: str) -> None:
        self.desk.counters.add(counter)
        self.desk.log.info("refused", client=self.address, reply=str(reply), **facts)

    def _client(self) -> Client:
        session = self._engine.session
        return Client(
            address=self.address,
            hello=session.hello.name if session.hello else "",
            protocol=session.protocol,
            tls=session.tls,
            account=self._account,
        )
