"""Delivery status notifications (RFC 3464, RFC 6533) in a multipart/report (RFC 6522): values in, octets out.

Who gets one is decided by `wanted` (RFC 3461) and by the driver, which knows whose address may be forged. A report
is `head + before + returned + after`, so that a big message can be returned without being held.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from mxfleet.errors import AddressError
from mxfleet.mail import dsn_words, xtext
from mxfleet.mail.address import Mailbox
from mxfleet.mail.reply import Reply, printable
from mxfleet.mail.trace import format_date

Action: TypeAlias = Literal["failed", "delayed", "delivered", "relayed", "expanded"]
"""RFC 3464 §2.3.3; `relayed` is to a host that will report no success."""

MAX_DIAGNOSTIC: Final = 900  # octets of a field, so that its line stays within RFC 5322 §2.1.1
_SUCCESS: Final = ("delivered", "relayed", "expanded")


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports: this host, and the mailbox in whose name it does."""

    hostname: str
    postmaster: Mailbox


@dataclass(frozen=True, slots=True)
class Original:
    """The message that is reported on: from MAIL and from its header; `utf8` says that MAIL had SMTPUTF8."""

    sender: Mailbox
    trace: str
    arrived: datetime
    envid: str = ""  # as it was said, in xtext
    message_id: str = ""
    utf8: bool = False


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """What became of one recipient.

    `host` is whose words the reply is, "" for our own. `orcpt` is as it was said. A failure with a temporary reply
    means that time ran out. `retry_until` is for `delayed`.
    """

    recipient: Mailbox
    action: Action
    reply: Reply
    host: str = ""
    orcpt: str = ""
    attempted: datetime | None = None
    retry_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A message: header section with its empty line, and the body without what is returned.

    `eight_bit` says that MAIL needs BODY=8BITMIME, `utf8` that it needs SMTPUTF8.
    """

    head: bytes
    before: bytes
    after: bytes
    eight_bit: bool
    utf8: bool


def wanted(notify: str, action: Action) -> bool:
    """Whether the sender asked for it; NOTIFY as it was said, "" where it was not (RFC 3461 §4.1, §5.2.2)."""
    words = notify.upper().split(",")
    if notify == "":
        return action in ("failed", "delayed")
    if action in _SUCCESS:
        return "SUCCESS" in words
    return ("FAILURE" if action == "failed" else "DELAY") in words


def returns_message(ret: str, statuses: Sequence[RecipientStatus]) -> bool:
    """Whether the whole message goes back: only where that was said, and only with failures (RFC 3461 §4.3)."""
    return ret.upper() == "FULL" and any(status.action == "failed" for status in statuses)


def report(
    reporter: Reporter,
    original: Original,
    statuses: Sequence[RecipientStatus],
    *,
    returned: bytes,
    whole: bool,
    message_id: str,
    date: datetime,
) -> Report:
    """The report on some recipients of one message.

    `returned` is what stands between `before` and `after`: the header section without its empty line, or with
    `whole` the message, of which the beginning is enough (it is looked at for UTF-8 only). `message_id` is the
    report's own, without its brackets.
    """
    boundary = f"={message_id.partition('@')[0]}="
    wide = original.utf8 and not all(status.recipient.is_ascii for status in statuses)
    words = dsn_words.explanation(reporter.hostname, original.trace, [_told(status) for status in statuses])
    status_type = "message/global-delivery-status" if wide else "message/delivery-status"
    before = "".join(
        [
            _part(boundary, f"text/plain; charset={'us-ascii' if words.isascii() else 'utf-8'}", words),
            _part(boundary, status_type, _status_fields(reporter, original, statuses, wide=wide)),
            f"--{boundary}\r\n{_content_type(_returned_type(original, returned, whole=whole), returned.isascii())}\r\n",
        ]
    ).encode("utf-8")
    after = f"\r\n--{boundary}--\r\n".encode("ascii")
    head = _head(
        reporter, original, statuses, boundary, message_id, date, returned.isascii() and before.isascii()
    )
    return Report(head, before, after, not (before.isascii() and returned.isascii()), not head.isascii())


def _head(
    reporter: Reporter,
    original: Original,
    statuses: Sequence[RecipientStatus],
    boundary: str,
    message_id: str,
    date: datetime,
    seven_bit: bool,
) -> bytes:
    lines = [
        f"From: Mail delivery <{reporter.postmaster}>",
        f"To: <{original.sender}>",
        f"Subject: {dsn_words.subject([status.action for status in statuses])}",
        f"Date: {format_date(date)}",
        f"Message-ID: <{message_id}>",
        *([f"References: {printable(original.message_id)}"] if original.message_id else []),
        "Auto-Submitted: auto-replied",  # RFC 3834 §5
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"',
        *([] if seven_bit else ["Content-Transfer-Encoding: 8bit"]),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


def _part(boundary: str, kind: str, text: str) -> str:
    return f"--{boundary}\r\n{_content_type(kind, text.isascii())}\r\n{text}\r\n"


def _content_type(kind: str, seven_bit: bool) -> str:
    return f"Content-Type: {kind}\r\n" + ("" if seven_bit else "Content-Transfer-Encoding: 8bit\r\n")


def _returned_type(original: Original, returned: bytes, *, whole: bool) -> str:
    """RFC 6522 §3, §4; for header fields in UTF-8 RFC 6533 §5, which old readers need not know."""
    if original.utf8 and not returned.isascii():
        return "message/global" if whole else "message/global-headers"
    return "message/rfc822" if whole else "text/rfc822-headers"


def _status_fields(
    reporter: Reporter, original: Original, statuses: Sequence[RecipientStatus], *, wide: bool
) -> str:
    """RFC 3464 §2.2 and §2.3: a group of fields for the message, then one for each recipient."""
    fields = [f"Reporting-MTA: dns; {reporter.hostname}"]
    if original.envid:
        fields.insert(0, f"Original-Envelope-Id: {_decoded(original.envid)}")
    fields.append(f"Arrival-Date: {format_date(original.arrived)}")
    groups = [fields, *(_recipient_fields(original, status, wide=wide) for status in statuses)]
    return "\r\n".join("".join(f"{line}\r\n" for line in group) for group in groups)


def _recipient_fields(original: Original, status: RecipientStatus, *, wide: bool) -> list[str]:
    lines = [f"Original-Recipient: {_original_recipient(status.orcpt, wide=wide)}"] if status.orcpt else []
    lines.append(f"Final-Recipient: {_typed(status.recipient, wide=wide)}")
    lines.append(f"Action: {status.action}")
    lines.append(f"Status: {status_code(status)}")
    if status.host:
        lines.append(f"Remote-MTA: dns; {printable(status.host)}")
    if status.reply.text:
        kind = "smtp" if status.host else "x-mxfleet"
        lines.append(f"Diagnostic-Code: {kind}; {printable(str(status.reply))}"[:MAX_DIAGNOSTIC])
    if status.attempted is not None:
        lines.append(f"Last-Attempt-Date: {format_date(status.attempted)}")
    if status.retry_until is not None:
        lines.append(f"Will-Retry-Until: {format_date(status.retry_until)}")
    return [*lines, f"Final-Log-ID: {original.trace}"]


def status_code(status: RecipientStatus) -> str:
    """RFC 3464 §2.3.4: the enhanced code that was given, or the plainest one of its class."""
    reply = status.reply
    if status.action == "failed" and not reply.permanent:
        return "4.4.7"  # RFC 3463 §3.5: delivery time expired
    return reply.enhanced or f"{reply.code // 100}.0.0"


def _typed(mailbox: Mailbox, *, wide: bool) -> str:
    """An address with its type (RFC 3464 §2.1.2, RFC 6533 §3)."""
    if mailbox.is_ascii:
        return f"rfc822; {mailbox}"
    return f"utf-8; {xtext.encode_utf8(str(mailbox), ascii_only=not wide)}"


def _original_recipient(orcpt: str, *, wide: bool) -> str:
    kind, _, address = orcpt.partition(";")
    kind = printable(kind)
    try:
        if kind.lower() == "utf-8":
            return f"{kind}; {xtext.encode_utf8(xtext.decode_utf8(address), ascii_only=not wide)}"
    except AddressError:
        return f"{kind}; {printable(address)}"
    return f"{kind}; {_decoded(address)}"


def _decoded(text: str) -> str:
    try:
        return printable(xtext.decode(text))
    except AddressError:
        return printable(text)


def _told(status: RecipientStatus) -> dsn_words.Told:
    until = format_date(status.retry_until) if status.retry_until is not None else ""
    return dsn_words.Told(status.action, str(status.recipient), str(status.reply), status.host, until)
