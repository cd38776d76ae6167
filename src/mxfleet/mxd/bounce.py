"""Telling a sender that his message did not arrive: RFC 3464 in RFC 6522's multipart/report.

Only mail that an authenticated user submitted bounces, and never to the null reverse-path (RFC 5321 §6.1):
what came from elsewhere was refused in the session, or its sender may be forged.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from mxfleet.mail.reply import Reply, printable
from mxfleet.mail.trace import format_date
from mxfleet.mxd.spool.protocol import Envelope, Notice, StoredMessage


class Failure(msgspec.Struct, frozen=True):
    """One recipient that will not get the message: the last reply, all that is to be said, whose words they are.

    `host` is empty where the words are ours; a temporary reply means that time has run out.
    """

    recipient: str
    reply: Reply
    words: str
    host: str


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
    boundary = f"={trace}="
    body = "".join(
        [
            *_part(boundary, "text/plain; charset=us-ascii", _words(reporter, message.envelope, failures)),
            *_part(boundary, "message/delivery-status", _status(reporter, message.envelope, failures)),
        ]
    ).encode("ascii")
    body += f"--{boundary}\r\nContent-Type: text/rfc822-headers\r\n\r\n".encode("ascii")
    body += _header_section(message) + f"\r\n--{boundary}--\r\n".encode("ascii")
    head = _head(reporter, message.envelope, boundary, trace, now)
    envelope = Envelope(
        trace=trace,
        sender="",
        received=now,
        expires=now + reporter.lifetime,
        size=len(head) + len(body),
        eight_bit=not body.isascii(),
        message_id=f"<{trace}@{reporter.hostname}>",
    )
    return Notice(envelope, (message.envelope.sender,), head, body)


def _head(reporter: Reporter, envelope: Envelope, boundary: str, trace: str, now: float) -> bytes:
    sender = reporter.postmaster or f"postmaster@{reporter.hostname}"
    lines = [
        f"From: Mail delivery <{sender}>",
        f"To: <{envelope.sender}>",
        "Subject: Your message could not be delivered",
        f"Date: {format_date(datetime.fromtimestamp(now, UTC))}",
        f"Message-ID: <{trace}@{reporter.hostname}>",
        *([f"References: {envelope.message_id}"] if envelope.message_id else []),
        "Auto-Submitted: auto-replied",  # RFC 3834 §5
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"',
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _part(boundary: str, kind: str, lines: Sequence[str]) -> list[str]:
    return [f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n", *(f"{line}\r\n" for line in lines), "\r\n"]


def _words(reporter: Reporter, envelope: Envelope, failures: Sequence[Failure]) -> list[str]:
    lines = [
        f"This is the mail system at {reporter.hostname}.",
        "",
        "Your message could not be delivered to:",
    ]
    for failure in failures:
        said = f"{failure.host} said: " if failure.host else ""
        lines += [
            "",
            f"  <{printable(failure.recipient)}>",
            f"    {said}{printable(str(failure.reply))}"[:900],
        ]
    return [*lines, "", f"Our reference is {envelope.trace}."]


def _status(reporter: Reporter, envelope: Envelope, failures: Sequence[Failure]) -> list[str]:
    """RFC 3464 §2.2 and §2.3."""
    arrived = format_date(datetime.fromtimestamp(envelope.received, UTC))
    lines = [f"Reporting-MTA: dns; {reporter.hostname}", f"Arrival-Date: {arrived}"]
    for failure in failures:
        reply = failure.reply
        # RFC 3463 §3.5: X.4.7, delivery time expired.
        code = (reply.enhanced or "5.0.0") if reply.permanent else "4.4.7"
        lines += ["", f"Final-Recipient: rfc822; {printable(failure.recipient)}", "Action: failed"]
        lines.append(f"Status: {code}")
        if failure.host:
            lines.append(f"Remote-MTA: dns; {failure.host}")
            lines.append(f"Diagnostic-Code: smtp; {printable(str(reply))}"[:900])
    return lines


def _header_section(message: StoredMessage) -> bytes:
    """The header section as it was spooled; RFC 6522 §4 allows to leave the body out."""
    start = message.head + message.first
    end = start.find(b"\r\n\r\n")
    return start[: end + 2] if end >= 0 else start
