"""Who is told what of an attempt: `bounce` says it, here it is addressed and signed."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from mxfleet.mail.address import parse_mailbox
from mxfleet.mail.dkim.sign import Signer
from mxfleet.mail.dsn import RecipientStatus
from mxfleet.mail.message import parse_headers
from mxfleet.mxd import bounce
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.dialogue import Attempt
from mxfleet.mxd.inspection import threads
from mxfleet.mxd.spool.values import Lease, Notice, Result


class Told(msgspec.Struct, frozen=True):
    """A report to be spooled, and what it says; None where nobody may be told."""

    notice: Notice | None = None
    actions: tuple[str, ...] = ()

    @property
    def warned(self) -> bool:
        """Whether a delay has had its word, so that it gets no other."""
        return "delayed" in self.actions


NOBODY: Final = Told()


class Teller:
    """Writes reports in the name of this node's postmaster."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        settings = desk.settings
        self._reporter = bounce.Reporter(
            settings.node.hostname,
            settings.service.postmaster,
            float(settings.retry.lifetime),
            float(settings.retry.warning),
        )

    async def tell(self, lease: Lease, attempt: Attempt, results: Sequence[Result], now: float) -> Told:
        """What is to be spooled with the results, if anybody is to be told anything."""
        try:
            told = bounce.statuses(self._reporter, lease, attempt, results, now)
            notice = await self._notice(lease, told, now) if told else None
        except Exception as error:  # whatever it was, what became of the message must be written down
            self._desk.log.error("mistake in mxd", trace=lease.message.envelope.trace, exception=error)
            return NOBODY
        return Told(notice, tuple(dict.fromkeys(one.action for one in told)))

    async def _notice(self, lease: Lease, told: Sequence[RecipientStatus], now: float) -> Notice | None:
        envelope = lease.message.envelope
        to = bounce.addressee(envelope, self._desk.settings.service.postmaster)
        if not to:
            self._untold(lease, [f"{one.action} {one.recipient}" for one in told])
            return None
        made = bounce.notice(
            self._reporter, lease.message, told, to, self._behind(to), self._desk.trace_ids(), now
        )
        return await self._signed(made)

    def _behind(self, to: str) -> tuple[str, ...]:
        """Those who stand behind an address of ours, for a report is not received but made here."""
        mailbox, directory = parse_mailbox(to), self._desk.configuration.directory
        return tuple(str(found) for found in directory.resolve(mailbox)) or (to,)

    async def _signed(self, made: Notice) -> Notice:
        """RFC 6376: the null reverse-path proves nothing, so that DMARC needs a signature of the author's domain."""
        keys = self._desk.configuration.keys.get(self._reporter.author.domain, ())
        if not keys:
            return made
        signer = Signer(keys, timestamp=int(time.time()))
        signer.body(made.body)
        headers = parse_headers(made.head.removesuffix(b"\r\n"))
        signature = await asyncio.get_running_loop().run_in_executor(threads, signer.sign, headers)
        return msgspec.structs.replace(made, head=signature + made.head)

    def _untold(self, lease: Lease, what: list[str]) -> None:
        envelope = lease.message.envelope
        if envelope.notice:
            reason = "it is a report itself, and the postmaster was told of it"
        elif not envelope.sender:
            reason = "its reverse-path is null"
        else:
            reason = "its sender may be forged: neither SPF nor DKIM of his domain has passed"
        self._desk.log.warning(
            "nobody is told", trace=envelope.trace, sender=envelope.sender, what=what, reason=reason
        )
