"""Telling a sender what became of his message (RFC 3461), as a message to be spooled; `mail.dsn` writes it.

Told is only who is known to have sent it: an account of ours, or a reverse-path whose domain answers for the message.
Nothing goes to the null reverse-path (RFC 5321 §6.1); a report of ours that cannot be delivered goes to the
postmaster, once.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from mxfleet.errors import AddressError
from mxfleet.mail import dsn
from mxfleet.mail.address import Mailbox, parse_mailbox
from mxfleet.mail.dsn import RecipientStatus
from mxfleet.mail.reply import printable
from mxfleet.mail.smtp.delivery import RecipientResult
from mxfleet.mxd.dialogue import Attempt
from mxfleet.mxd.spool.protocol import Envelope, Lease, Notice, Recipient, Result, StoredMessage

LARGEST: Final = 131_072  # octets of a message that are sent back, or of its header; a report is one chunk
REPORT: Final = 1  # Envelope.notice: to a sender
DOUBLE: Final = 2  # to the postmaster, about a report


class Reporter(msgspec.Struct, frozen=True):
    """Who reports: this node, and the postmaster in whose name it does; `warning` is after how long a delay."""

    hostname: str
    postmaster: str
    lifetime: float
    warning: float = 0.0

    @property
    def author(self) -> Mailbox:
        """Whom the report is from."""
        return parse_mailbox(self.postmaster or f"postmaster@{self.hostname}")


def addressee(envelope: Envelope, postmaster: str) -> str:
    """Who is to be told about a message, "" where nobody: a forged sender's report would hit somebody else."""
    if envelope.notice:
        return postmaster if envelope.notice == REPORT else ""
    return envelope.sender if envelope.submitter or envelope.passed else ""


def statuses(
    reporter: Reporter, lease: Lease, attempt: Attempt, results: Sequence[Result], now: float
) -> list[RecipientStatus]:
    """What is to be told of this attempt: what the sender asked for, or what he should know without asking."""
    return list(_statuses(reporter, lease, attempt, results, now))


def _statuses(
    reporter: Reporter, lease: Lease, attempt: Attempt, results: Sequence[Result], now: float
) -> Iterator[RecipientStatus]:
    envelope = lease.message.envelope
    late = _is_late(reporter, lease, now)
    for recipient, answer, result in zip(lease.recipients, attempt.answers, results, strict=True):
        notify = envelope.notify.get(recipient.address, "")
        action = _action(attempt, result, late=late and bool(notify or envelope.submitter))
        if action is not None and dsn.wanted(notify, action):
            until = lease.expires if action == "delayed" else None
            yield _status(envelope, recipient, answer, action, attempt, now, until)


def _action(attempt: Attempt, result: Result, *, late: bool) -> dsn.Action | None:
    """RFC 3464 §2.3.3; a host that takes over reporting leaves us nothing to say (RFC 3461 §5.2.2)."""
    if result.state == "failed":
        return "failed"
    if result.state == "waiting":
        return "delayed" if late else None
    if attempt.final:
        return "delivered"
    return None if attempt.reports else "relayed"


def _is_late(reporter: Reporter, lease: Lease, now: float) -> bool:
    envelope = lease.message.envelope
    if lease.warned or envelope.notice or not reporter.warning:
        return False
    return now - envelope.received >= reporter.warning


def _status(
    envelope: Envelope,
    recipient: Recipient,
    answer: RecipientResult,
    action: dsn.Action,
    attempt: Attempt,
    now: float,
    until: float | None,
) -> RecipientStatus:
    try:
        mailbox = parse_mailbox(recipient.address)
    except AddressError:  # cannot be: the engine has parsed it
        mailbox = Mailbox(printable(recipient.address), "")
    return RecipientStatus(
        mailbox,
        action,
        answer.reply,
        attempt.host if answer.remote else "",
        envelope.orcpt.get(recipient.address, ""),
        datetime.fromtimestamp(int(now), UTC),
        None if until is None else datetime.fromtimestamp(int(until), UTC),
    )


def notice(
    reporter: Reporter,
    message: StoredMessage,
    told: Sequence[RecipientStatus],
    to: str,
    recipients: tuple[str, ...],
    trace: str,
    now: float,
) -> Notice:
    """The report as a message of ours, with the null reverse-path; `recipients` are those behind the address `to`."""
    envelope = message.envelope
    whole = dsn.returns_message(envelope.ret, told) and _is_whole(message)
    returned = message.head + message.first if whole else _header_section(message)
    message_id = f"{trace}@{reporter.hostname}"
    report = dsn.report(
        dsn.Reporter(reporter.hostname, reporter.author),
        _original(envelope, to),
        told,
        returned=returned,
        whole=whole,
        message_id=message_id,
        date=datetime.fromtimestamp(now, UTC),
    )
    body = report.before + returned + report.after
    own = Envelope(
        trace=trace,
        sender="",
        received=now,
        expires=now + reporter.lifetime,
        size=len(body),
        eight_bit=report.eight_bit,
        utf8=report.utf8,
        message_id=f"<{message_id}>",
        notice=DOUBLE if envelope.notice else REPORT,
    )
    return Notice(own, recipients, report.head, body)


def _original(envelope: Envelope, to: str) -> dsn.Original:
    return dsn.Original(
        parse_mailbox(to),
        envelope.trace,
        datetime.fromtimestamp(envelope.received, UTC),
        envelope.envid,
        envelope.message_id,
        envelope.utf8,
    )


def _is_whole(message: StoredMessage) -> bool:
    return message.chunks <= 1 and len(message.head) + len(message.first) <= LARGEST


def _header_section(message: StoredMessage) -> bytes:
    """The header section as it was spooled, or its beginning; RFC 6522 §4 allows to leave the body out."""
    start = message.head + message.first
    end = start.find(b"\r\n\r\n")
    section = start[: end + 2] if end >= 0 else start
    if len(section) <= LARGEST:
        return section
    return section[: section.rfind(b"\r\n", 0, LARGEST) + 2]
