"""Telling a sender that his message did not arrive, as a message to be spooled; `mail.dsn` writes it.

Only mail that an authenticated user submitted bounces, and never to the null reverse-path (RFC 5321 §6.1):
what came from elsewhere was refused in the session, or its sender may be forged.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from mxfleet.errors import AddressError
from mxfleet.mail import dsn
from mxfleet.mail.address import Mailbox, parse_mailbox
from mxfleet.mail.reply import Reply, printable
from mxfleet.mxd.spool.protocol import Envelope, Notice, StoredMessage


class Failure(msgspec.Struct, frozen=True):
    """One recipient that will not get the message: the last reply, all that is to be said, whose words they are.

    `host` is empty where the words are ours; a temporary reply means that time has run out; `orcpt` is as it was
    said (RFC 3461 §4.2).
    """

    recipient: str
    reply: Reply
    words: str
    host: str
    orcpt: str = ""


class Reporter(msgspec.Struct, frozen=True):
    """Who reports: this node, and the postmaster in whose name it does."""

    hostname: str
    postmaster: str
    lifetime: float


def wanted(envelope: Envelope) -> bool:
    """Whether the sender is somebody whom we know to have sent it."""
    return bool(envelope.submitter and envelope.sender)


def notice(
    reporter: Reporter, message: StoredMessage, failures: Sequence[Failure], trace: str, now: float
) -> Notice:
    """The report as a message of ours to the sender, with the null reverse-path."""
    envelope, returned = message.envelope, _header_section(message)
    message_id = f"{trace}@{reporter.hostname}"
    postmaster = reporter.postmaster or f"postmaster@{reporter.hostname}"
    report = dsn.report(
        dsn.Reporter(reporter.hostname, parse_mailbox(postmaster)),
        _original(envelope),
        [_status(failure) for failure in failures],
        returned=returned,
        whole=False,
        message_id=message_id,
        date=datetime.fromtimestamp(now, UTC),
    )
    body = report.before + returned + report.after
    own = Envelope(
        trace=trace,
        sender="",
        received=now,
        expires=now + reporter.lifetime,
        size=len(report.head) + len(body),
        eight_bit=report.eight_bit,
        utf8=report.utf8,
        message_id=f"<{message_id}>",
    )
    return Notice(own, (envelope.sender,), report.head, body)


def _original(envelope: Envelope) -> dsn.Original:
    return dsn.Original(
        parse_mailbox(envelope.sender),
        envelope.trace,
        datetime.fromtimestamp(envelope.received, UTC),
        envelope.envid,
        envelope.message_id,
        envelope.utf8,
    )


def _status(failure: Failure) -> dsn.RecipientStatus:
    try:
        recipient = parse_mailbox(failure.recipient)
    except AddressError:  # cannot be: the engine has parsed it
        recipient = Mailbox(printable(failure.recipient), "")
    return dsn.RecipientStatus(recipient, "failed", failure.reply, failure.host, failure.orcpt)


def _header_section(message: StoredMessage) -> bytes:
    """The header section as it was spooled; RFC 6522 §4 allows to leave the body out."""
    start = message.head + message.first
    end = start.find(b"\r\n\r\n")
    return start[: end + 2] if end >= 0 else start
