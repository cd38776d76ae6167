"""One SMTP session: what each event of the engine leads to."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, ClassVar

from mxfleet.mail.address import Mailbox
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp import events, replies
from mxfleet.mail.smtp.limits import ServerConfig
from mxfleet.mail.smtp.notification import NO_RCPT_DSN, RcptDsn
from mxfleet.mail.spf.result import Spf
from mxfleet.mxd import policy
from mxfleet.mxd.accounts import Account
from mxfleet.mxd.call_ahead import CallAhead
from mxfleet.mxd.carrier import SPOOL, Carrier
from mxfleet.mxd.desk import Client, Desk
from mxfleet.mxd.evidence import Begun, ClientEvidence
from mxfleet.mxd.examination import Examination
from mxfleet.mxd.forwarding import recipient
from mxfleet.mxd.inspection import Inspection
from mxfleet.mxd.login import login
from mxfleet.mxd.memory import FULL
from mxfleet.mxd.receipt import NOT_UNDERSTOOD
from mxfleet.mxd.rules import Rules
from mxfleet.mxd.signing import Signing
from mxfleet.mxd.transaction import Transaction


class Session(Carrier):
    """One connection; everything it shares with others is the desk's."""

    def __init__(
        self,
        desk: Desk,
        config: ServerConfig,
        admit: Callable[["Session"], Reply | None],
        ended: Callable[["Session"], None],
    ) -> None:
        """`admit` is called when the client is here and may refuse it; `ended` at its end, once."""
        super().__init__(desk, config)
        self._admit = admit
        self._ended = ended
        self._account: Account | None = None
        self._recipients: list[Mailbox] = []
        self._wishes: dict[Mailbox, RcptDsn] = {}  # of those who said any
        self._rules: Rules | None = None  # those of the recipients so far
        self._known: ClientEvidence | None = None
        self._spf: Begun[Spf] | None = None
        self._transaction: Transaction | None = None

    def greeting(self) -> Reply | None:
        """See Carrier."""
        refusal = self._admit(self)
        gatherer = self.desk.gatherer
        is_exchange = self.engine.session.config.service == "smtp" and self.address != "?"
        if refusal is None and gatherer is not None and is_exchange:
            self._known = ClientEvidence(gatherer, self.address)
        return refusal

    def ended(self) -> None:
        """See Carrier."""
        self._forget_account()
        self._ended(self)

    def handle(self, event: events.Event) -> None:
        """See Carrier; whatever goes wrong in here, the client is told, and by a 451 may come again."""
        try:
            self._handlers[type(event)](self, event)
        except Exception as error:  # a mistake of ours
            self._mistaken(event, error)

    def _mistaken(self, event: events.Event, error: Exception) -> None:
        name = type(event).__name__
        self.desk.log.error("mistake in mxd", exception=error, client=self.address, event_type=name)
        if self.engine.expects == "answer":
            self.answer(NOT_UNDERSTOOD)
        elif self.engine.receiving:
            self._drop()
            self.engine.fail_message(NOT_UNDERSTOOD)

    # ── one method an event ─────────────────────────────────────────────────────────────────────────────

    def _hello(self, event: events.Hello) -> None:
        if self._known is not None:
            self._known.greeted(event.name)
        self.engine.accept()

    def _mail(self, event: events.MailFrom) -> None:
        self._recipients, self._wishes, self._rules = [], {}, None
        refusal = policy.sender(event.reverse_path, self._account.may_send_as) if self._account else None
        if refusal is not None:
            self._log_refusal("senders_refused", refusal, sender=str(event.reverse_path or ""))
            self.engine.answer(refusal)
            return
        if self._known is not None:
            self._spf = self._known.sent(str(event.reverse_path or ""))
        self.engine.accept()

    def _rcpt(self, event: events.RcptTo) -> None:
        directory = self.desk.configuration.directory
        mail = self.engine.session.mail
        meant, found = recipient(
            directory,
            self.desk.configuration.forwarding,
            event.mailbox,
            mail.reverse_path if mail else None,
            time.time(),
            authenticated=self._account is not None,
        )
        ahead = self.desk.call_ahead
        if found is policy.NO_SUCH_MAILBOX and ahead is not None:
            mailbox = directory.to_be_asked_about(meant)
            answer = None if mailbox is None else ahead.known(mailbox)
            if mailbox is not None and answer is None:
                self.desk.run(self._rcpt_asked(event, mailbox, ahead))
                return
            if mailbox is not None and answer is not None:
                found = ahead.verdict(mailbox, answer)
        self._resolved(event, found)

    async def _rcpt_asked(self, event: events.RcptTo, mailbox: Mailbox, ahead: CallAhead) -> None:
        """The next hop is asked whether it knows the recipient."""
        try:
            answer = await ahead.ask(mailbox)
            if self.engine.closed:
                return
            self._resolved(event, ahead.verdict(mailbox, answer))
        except Exception as error:  # a mistake of ours
            self._mistaken(event, error)
        else:
            if self.engine.expects != "answer":
                self.answered()

    def _resolved(self, event: events.RcptTo, found: tuple[Mailbox, ...] | Reply) -> None:
        """Where its mail would go is known; what is known of the client may speak against it."""
        directory = self.desk.configuration.directory
        if isinstance(found, Reply) or self._known is None:
            self._recipient(event, found)
        elif self._known.waiting and self._asks(directory.rules_of(event.mailbox)):
            self.desk.run(self._rcpt_later(event, found, self._known, self._known.waiting))
        else:
            self._recipient(event, self._screened(event, found, self._known))

    async def _rcpt_later(
        self,
        event: events.RcptTo,
        found: tuple[Mailbox, ...],
        known: ClientEvidence,
        waiting: list[asyncio.Future[object]],
    ) -> None:
        """The client's name and lists decide, and nobody knows them yet; they may, when this begins to run."""
        try:
            await asyncio.wait(waiting)
            if self.engine.closed:
                return
            self._recipient(event, self._screened(event, found, known))
        except Exception as error:  # a mistake of ours
            self._mistaken(event, error)
        else:
            self.answered()

    def _asks(self, rules: Rules) -> bool:
        """Whether these rules refuse clients for what is found out about them."""
        lists = bool(self._known and self._known.gatherer.lists) and rules.settings.lists == "enforce"
        return lists or rules.settings.iprev == "enforce"

    def _screened(
        self, event: events.RcptTo, found: tuple[Mailbox, ...], known: ClientEvidence
    ) -> tuple[Mailbox, ...] | Reply:
        rules = self.desk.configuration.directory.rules_of(event.mailbox)
        if self._asks(rules):
            facts = known.facts
            refusal = policy.client(known.address, facts.iprev, facts.listings, rules)
            if refusal is not None:
                return refusal
        if self._rules is not None and self._rules != rules:
            return policy.OTHER_POLICY
        self._rules = rules
        return found

    def _recipient(self, event: events.RcptTo, found: tuple[Mailbox, ...] | Reply) -> None:
        if isinstance(found, Reply):
            self._log_refusal("recipients_refused", found, recipient=str(event.mailbox))
            self.engine.answer(found)
        else:
            self._recipients.extend(found)
            if event.dsn is not NO_RCPT_DSN:
                for mailbox in found:
                    self._wishes.setdefault(mailbox, event.dsn)
            self.desk.counters.add("recipients_accepted")
            self.engine.accept()

    def _data_start(self, event: events.DataStart) -> None:
        recipients = tuple(dict.fromkeys(self._recipients))
        refusal = self._beyond_limits(len(recipients))
        if refusal is not None:
            self._log_refusal("messages_deferred", refusal, sender=str(event.mail.reverse_path or ""))
            self.engine.answer(refusal)
            return
        client = self._client()
        inspection = self._inspection(client, event.mail, recipients)
        self._transaction = Transaction(self.desk, client, event.mail, recipients, inspection, self._wishes)
        self.engine.accept()

    def _beyond_limits(self, recipients: int) -> Reply | None:
        if self.desk.memory.nearly_full:
            return FULL
        user = self._account.address if self._account else ""
        return self.desk.admission.message(self.address, user, recipients)

    def _inspection(
        self, client: Client, mail: events.MailFrom, recipients: tuple[Mailbox, ...]
    ) -> Inspection | None:
        if self._account is not None:
            return Signing(self.desk, self._account)
        if self._known is None or self._spf is None or self._rules is None:
            return None
        sender, names = str(mail.reverse_path or ""), tuple(map(str, recipients))
        seal = self.desk.configuration.sealing_key(recipients)
        return Examination(self.desk, client, self._known, sender, self._spf, names, self._rules, seal)

    def _data_chunk(self, event: events.DataChunk) -> None:
        transaction = self._transaction
        if transaction is not None:
            transaction.push(event.data, self._caught_up)
            if transaction.ahead:
                self.pause(SPOOL)

    def _caught_up(self) -> None:
        transaction = self._transaction
        if transaction is not None and transaction.failed is not None:
            self._transaction = None
            if self.engine.receiving:
                self.engine.fail_message(transaction.failed)
                self.pump()
        if transaction is None or not transaction.ahead or transaction.failed is not None:
            self.resume(SPOOL)

    def _complete(self, event: events.MessageComplete) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is None:
            self.engine.answer(replies.SHUTTING_DOWN)  # cannot be: DataStart made one
        else:
            transaction.finish(event.size, self.answer)

    def _reset(self, _event: events.Reset) -> None:
        self._recipients = []
        self._drop()

    def _starttls(self, _event: events.StartTls) -> None:
        self._forget_account()  # RFC 3207 §4.2: nothing that was said in the clear counts
        self.start_tls()

    def _auth(self, event: events.Auth) -> None:
        self.desk.run(self._login(event))

    async def _login(self, event: events.Auth) -> None:
        try:
            found = await login(self.desk, self.address, event)
        except Exception as error:  # a mistake of ours
            self._mistaken(event, error)
            return
        if isinstance(found, Reply):
            self.answer(found)
        elif self.engine.closed:  # it left meanwhile
            self.desk.admission.leave_user(found.address)
        else:
            self._account = found
            self.answer(None)

    def _forget_account(self) -> None:
        if self._account is not None:
            self.desk.admission.leave_user(self._account.address)
            self._account = None

    def _refused(self, event: events.Refused) -> None:
        self._log_refusal("protocol_errors", event.reply, command=event.command)

    def _closed(self, event: events.Closed) -> None:
        self._drop()
        self.talking = event.reason not in ("quit", "disconnected")
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
        session = self.engine.session
        return Client(
            address=self.address,
            hello=session.hello.name if session.hello else "",
            protocol=session.protocol,
            tls=session.tls,
            account=self._account,
        )

    _handlers: ClassVar[dict[type[Any], Callable[["Session", Any], None]]] = {
        events.RcptTo: _rcpt,
        events.MailFrom: _mail,
        events.DataStart: _data_start,
        events.DataChunk: _data_chunk,
        events.MessageComplete: _complete,
        events.Hello: _hello,
        events.Reset: _reset,
        events.StartTls: _starttls,
        events.Auth: _auth,
        events.Refused: _refused,
        events.Closed: _closed,
    }
