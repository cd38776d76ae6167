"""Targets: messages, addresses, header fields that are read and written, policies, DNS messages."""

import contextlib
import email
import email.policy
from datetime import UTC, datetime
from typing import Literal

from fuzz.inputs import Resolver, parts, pieces
from mxfleet.errors import AddressError, MailError, MessageError
from mxfleet.mail import address, authentication_fields, authentication_results, dsn, mta_sts, mta_sts_policy
from mxfleet.mail.author import authors
from mxfleet.mail.message import HeaderReader, Headers, parse_headers
from mxfleet.mail.names import canonical_name, is_askable
from mxfleet.mail.questions import Question
from mxfleet.mail.received_spf import parse_received_spf
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp import notification
from mxfleet.mail.smtp.data import check_line_endings
from mxfleet.mail.srs import Rewriter
from mxfleet.mail.xtext import decode, decode_utf8, encode, encode_utf8
from mxfleet.mxd.resolver.wire import NotOurs
from mxfleet.mxd.resolver.wire import decode as decode_answer
from mxfleet.mxd.resolver.wire import encode as encode_question

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
REWRITER = Rewriter("corp.test", (b"0123456789abcdef",))
QUESTIONS = tuple(Question("a.b.test", kind) for kind in ("TXT", "A", "AAAA", "MX", "PTR", "TLSA"))
ACTIONS: tuple[Literal["failed", "delayed", "delivered"], ...] = ("failed", "delayed", "delivered")


def message(data: bytes) -> None:
    """A header section, whole and in pieces: the same; and what is asked of it."""
    size, octets = max(1, data[:1].ljust(1, b"\1")[0]), data[1:]
    section, _, _ = octets.partition(b"\r\n\r\n")
    whole = _headers(section + b"\r\n")
    with contextlib.suppress(MessageError):
        reader, found = HeaderReader(), None
        for piece in pieces(octets, size):
            if (found := reader.push(piece)) is not None:
                break
        found = found or reader.finish()
        assert whole is None or not octets.count(b"\r\n\r\n") or found.raw == whole.raw
    if whole is not None:
        assert b"".join(field.raw for field in whole.fields) == whole.raw
        with contextlib.suppress(MessageError):
            authors(whole)
        kept = authentication_fields.without_forged(whole, ["mx.corp.test"])
        assert len(kept.fields) <= len(whole.fields)


def _headers(raw: bytes) -> Headers | None:
    try:
        return parse_headers(raw)
    except MessageError:
        return None


def addresses(data: bytes) -> None:
    """Paths, mailboxes and domains, as they are said and as they are written; and rewritten for forwarding."""
    text = data.decode("utf-8", "surrogateescape")
    canonical_name(text)
    is_askable(text)
    for parse in (address.parse_reverse_path, address.parse_forward_path, address.parse_mailbox):
        with contextlib.suppress(AddressError):
            mailbox = parse(text)
            written = address.path(mailbox)
            assert "\r" not in written
            assert "\n" not in written
            if mailbox is not None and mailbox.domain:
                assert address.parse_mailbox(str(mailbox)) == mailbox
                with contextlib.suppress(AddressError):
                    forwarded = REWRITER.forward(mailbox, 1e9)
                    assert forwarded is not None
                    assert forwarded.domain == "corp.test"
                    back = REWRITER.reverse(forwarded, 1e9) if forwarded != mailbox else mailbox
                    assert back.local.lower().endswith(mailbox.local.lower()) or back == mailbox
    with contextlib.suppress(AddressError):
        domain = address.parse_domain(text)
        assert address.parse_domain(domain) == domain


def results(data: bytes) -> None:
    """Authentication-Results and Received-SPF of other hosts."""
    text = data.decode("latin-1")
    with contextlib.suppress(MailError):
        authentication_results.read_authserv_id(text)
    with contextlib.suppress(MailError):
        parse_received_spf(text)
    with contextlib.suppress(MailError):
        authentication_results.parse(text)


def xtext(data: bytes) -> None:
    """DSN parameters and what they mean."""
    text = data.decode("utf-8", "replace")
    for is_value in (
        notification.is_envid, notification.is_notify, notification.is_orcpt, notification.is_ret,
    ):  # fmt: skip
        is_value(text)
    with contextlib.suppress(AddressError):
        assert decode(encode(decode(text))) == decode(text)
    with contextlib.suppress(AddressError):
        meant = decode_utf8(text)
        assert decode_utf8(encode_utf8(meant)) == meant
    if notification.is_orcpt(text):
        assert notification.rcpt_words(notification.RcptDsn("", text), utf8=False).isascii()


def report(data: bytes) -> None:
    """A report with a remote host's words, an ORCPT, an ENVID and a header section of anybody's."""
    words, orcpt, envid, local, returned = (part.decode("utf-8", "replace") for part in parts(data, 5)[:5])
    try:
        mailbox = address.parse_mailbox(f"{local}@b.test")
    except AddressError:
        mailbox = address.Mailbox("x", "b.test")
    status = dsn.RecipientStatus(
        mailbox, ACTIONS[len(words) % 3], Reply(550, "5.1.1", words), "mx.b.test",
        orcpt if notification.is_orcpt(orcpt) else "", NOW, NOW,
    )  # fmt: skip
    original = dsn.Original(
        mailbox, "trace", NOW, envid if notification.is_envid(envid) else "", "", utf8=True
    )
    reporter = dsn.Reporter("mx.corp.test", address.Mailbox("postmaster", "corp.test"))
    section = b"Subject: x\r\n" if _headers(returned.encode()) is None else returned.encode()
    made = dsn.report(
        reporter, original, [status], returned=section, whole=False, message_id="1@mx.corp.test", date=NOW
    )
    for octets in (made.head, made.before, made.after):
        check_line_endings(octets)
    parsed = email.message_from_bytes(
        made.head + made.before + section + made.after, policy=email.policy.SMTP
    )
    assert parsed.get_content_type() == "multipart/report"
    assert len(parsed.get_payload()) == 3, "what others said is no part of its own"


def policies(data: bytes) -> None:
    """MTA-STS: record and policy, alone and discovered."""
    texts = parts(data, 2)
    mta_sts_policy.parse_record(texts)
    policy = mta_sts_policy.parse_policy(texts[0])
    if not isinstance(policy, str):
        policy.allows("mx.b.test")
        policy.allows(texts[1].decode("latin-1"))
    resolver = Resolver(texts[1:], 10)

    def tell(asked: mta_sts.Asked) -> mta_sts.Told:
        if isinstance(asked, Question):
            return resolver(asked)
        return mta_sts.Fetched(200, "text/plain", texts[0])

    mta_sts.drive(mta_sts.discover("b.test", None, 1e9), tell)


def dns_answer(data: bytes) -> None:
    """What a resolver sends: first octet the type that was asked, then everything behind the question."""
    question = QUESTIONS[data[:1].ljust(1, b"\0")[0] % len(QUESTIONS)]
    asked = encode_question(7, question)
    head = asked[:2] + b"\x81\x80" + asked[4:6] + data[1:7].ljust(6, b"\0")
    behind = asked[12 : len(asked) - 11]
    for octets in (data, head + behind + data[7:]):
        with contextlib.suppress(NotOurs):
            answer = decode_answer(octets, 7, question, trusted=True)
            assert answer.seconds >= 0
