"""What is said of one message once all of it is here: to the spool, in our Received field, in the log, to the client."""

import time
from collections.abc import Mapping
from typing import Final

from mxfleet.errors import MessageError, SpoolError
from mxfleet.mail.address import Mailbox
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.events import MailFrom
from mxfleet.mail.smtp.notification import RcptDsn
from mxfleet.mxd import forwarding, policy
from mxfleet.mxd.desk import Client, Desk
from mxfleet.mxd.inspection import Finding
from mxfleet.mxd.memory import FULL
from mxfleet.mxd.spool.protocol import Envelope, SpoolFull
from mxfleet.mxd.stamp import own_hops, scan, stamp

NO_ROOM: Final = Reply(452, "4.3.1", "No room for the message now, try again later")
NO_COMMIT: Final = Reply(451, "4.3.0", "The message could not be stored, try again later")
NOT_UNDERSTOOD: Final = Reply(451, "4.3.0", "This host could not deal with that, try again later")
_NOTHING: Final = Finding()


class Receipt:
    """One transaction as it stands in writing; begins when the message does."""

    def __init__(
        self,
        desk: Desk,
        client: Client,
        mail: MailFrom,
        recipients: tuple[Mailbox, ...],
        wishes: Mapping[Mailbox, RcptDsn],
    ) -> None:
        """`wishes` are NOTIFY and ORCPT of the recipients who have any (RFC 3461)."""
        self.trace = desk.trace_ids()
        self.addresses = [str(mailbox) for mailbox in recipients]
        self.found = _NOTHING  # by the inspection
        self.scanned: tuple[int, str] | None = None  # what the inspection saw of hops and Message-ID
        self._desk = desk
        self._client = client
        self._mail = mail
        self._recipients = recipients
        self._wishes = wishes
        self._received = time.time()

    # ── to the spool ────────────────────────────────────────────────────────────────────────────────────

    def envelope(self, first: bytes, size: int) -> Envelope | Reply:
        """What is known around a message that begins like this, or why it is refused: it goes in circles."""
        hops, message_id = self.scanned or scan(first)
        service = self._desk.settings.service
        own = own_hops(first, {service.hostname, *service.names}) if hops > policy.MAX_OWN_HOPS else 0
        return policy.hops(hops, own) or self._envelope(size, message_id)

    def _envelope(self, size: int, message_id: str) -> Envelope:
        mail, client, wishes = self._mail, self._client, self._wishes
        return Envelope(
            trace=self.trace,
            sender=str(mail.reverse_path) if mail.reverse_path else "",
            received=self._received,
            expires=self._received + self._desk.settings.retry.lifetime,
            submitter=client.account.address if client.account else "",
            client=client.address,
            helo=client.hello,
            eight_bit=mail.body == "8BITMIME",
            utf8=mail.utf8,
            size=size,
            message_id=message_id,
            passed=self.found.passed,
            ret=mail.dsn.ret,
            envid=mail.dsn.envid,
            notify={str(who): wish.notify for who, wish in wishes.items() if wish.notify} if wishes else {},
            orcpt={str(who): wish.orcpt for who, wish in wishes.items() if wish.orcpt} if wishes else {},
            rewritten="" if client.account else self._rewritten(),
        )

    def _rewritten(self) -> str:
        configuration, sender = self._desk.configuration, self._mail.reverse_path
        return forwarding.reverse_path(
            configuration.directory, configuration.forwarding, sender, self._recipients, self._received
        )

    def head(self) -> bytes:
        """The fields that are put above the message: what was found, our Received field."""
        by = self._desk.settings.node.hostname
        return self.found.head + stamp(by, self._client, self.trace, self._received, self._recipients)

    # ── to the log and to the client ────────────────────────────────────────────────────────────────────

    def accepted(self, envelope: Envelope) -> Reply:
        """It is in the spool, whatever happens."""
        desk = self._desk
        desk.committed_at = time.monotonic()
        desk.counters.add("messages_accepted")
        desk.counters.add("octets_accepted", envelope.size)
        desk.log.info(
            "accepted",
            trace=self.trace,
            client=envelope.client,
            sender=envelope.sender,
            recipients=self.addresses,
            size=envelope.size,
            message_id=envelope.message_id,
            submitter=envelope.submitter,
            protocol=self._client.protocol,
            seconds=round(time.time() - self._received, 4),
            **self.found.facts,
        )
        return Reply(250, "2.0.0", f"accepted as {self.trace}")

    def refused(self, reply: Reply) -> Reply:
        """It is not taken."""
        self._desk.counters.add("messages_deferred" if reply.temporary else "messages_refused")
        self._desk.log.info(
            "refused",
            trace=self.trace,
            client=self._client.address,
            sender=str(self._mail.reverse_path or ""),
            reply=str(reply),
            **self.found.facts,
        )
        return reply

    def trouble(self, error: BaseException) -> Reply:
        """Something went wrong: the message itself, the spool, or a mistake of ours."""
        if isinstance(error, MessageError):
            return self.refused(Reply(550, "5.6.0", f"Not a well-formed message: {error}"))
        if not isinstance(error, SpoolError):
            self._desk.log.error("mistake in mxd", trace=self.trace, exception=error)
            return NOT_UNDERSTOOD
        self._desk.counters.add("spool_failures")
        self._desk.log.error("not stored", trace=self.trace, exception=error)
        return NO_ROOM if isinstance(error, SpoolFull) else NO_COMMIT

    def out_of_memory(self) -> Reply:
        """All messages under way are more than this process may hold."""
        self._desk.log.error(
            "message refused, memory is full", trace=self.trace, limit="memory", client=self._client.address
        )
        return FULL
