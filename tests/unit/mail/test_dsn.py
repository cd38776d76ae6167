"""Delivery status notifications: the whole text as a file, and the same read by somebody else's parser."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail import dsn
from mxfleet.mail.address import Mailbox
from mxfleet.mail.dsn import (
    Action,
    Original,
    RecipientStatus,
    Reporter,
    report,
    returns_message,
    status_code,
    wanted,
)
from mxfleet.mail.reply import Reply

HERE = Path(__file__).parent / "dsn"
MOMENT = datetime(2026, 11, 24, 8, 5, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 29, 8, 5, 0, tzinfo=UTC)
REPORTER = Reporter("mx1.corp.test", Mailbox("postmaster", "corp.test"))
ALICE = Mailbox("alice", "corp.test")
ORIGINAL = Original(ALICE, "mx1-7f3c9a", MOMENT, "QQ+2B314", "<1@corp.test>")
HEADER = b"From: alice@corp.test\r\nSubject: hello\r\nMessage-ID: <1@corp.test>\r\n"
STATUSES = (
    RecipientStatus(
        Mailbox("nobody", "peer.test"),
        "failed",
        Reply(550, "5.1.1", "No such user\nReally"),
        "mx.peer.test",
        "rfc822;sales+2Beu@corp.test",
        MOMENT,
    ),
    RecipientStatus(
        Mailbox("slow", "peer.test"), "delayed", Reply(451, "4.4.1", "No connection"), retry_until=LATER
    ),
    RecipientStatus(Mailbox("carol", "peer.test"), "delivered", Reply(250, "2.0.0", "saved"), "mx.peer.test"),
    RecipientStatus(Mailbox("list", "old.test"), "relayed", Reply(250, "", "ok"), "mx.old.test"),
    RecipientStatus(Mailbox("late", "peer.test"), "failed", Reply(451, "", "greylisted"), "mx.peer.test"),
)


def build(
    original: Original = ORIGINAL,
    statuses: tuple[RecipientStatus, ...] = STATUSES,
    returned: bytes = HEADER,
    *,
    whole: bool = False,
) -> tuple[dsn.Report, bytes]:
    made = report(
        REPORTER,
        original,
        statuses,
        returned=returned,
        whole=whole,
        message_id="mx1-80aa01@mx1.corp.test",
        date=MOMENT,
    )
    return made, made.head + made.before + returned + made.after


def parts(octets: bytes) -> tuple[EmailMessage, list[EmailMessage]]:
    message = message_from_bytes(octets, policy=SMTPUTF8)
    assert isinstance(message, EmailMessage)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert not message.defects
    found = [part for part in message.iter_parts() if isinstance(part, EmailMessage)]
    assert len(found) == 3
    return message, found


def test_a_report_reads_as_the_file_says() -> None:
    made, octets = build()
    assert octets.decode("ascii").replace("\r\n", "\n") == (HERE / "all-actions.eml").read_text()
    assert not made.eight_bit
    assert not made.utf8
    assert octets.count(b"\n") == octets.count(b"\r\n")
    assert max(map(len, octets.split(b"\r\n"))) <= 998


def test_another_parser_finds_the_same() -> None:
    message, (text, status, headers) = parts(build()[1])
    assert message["To"] == "alice@corp.test"
    assert message["References"] == "<1@corp.test>"
    assert message["Auto-Submitted"] == "auto-replied"
    assert text.get_content_type() == "text/plain"
    assert status.get_content_type() == "message/delivery-status"
    about, *each = [part for part in status.get_payload() if isinstance(part, EmailMessage)]
    assert about["Reporting-MTA"] == "dns; mx1.corp.test"
    assert about["Original-Envelope-Id"] == "QQ+314"
    assert [one["Action"] for one in each] == [status.action for status in STATUSES]
    assert [one["Status"] for one in each] == ["5.1.1", "4.4.1", "2.0.0", "2.0.0", "4.4.7"]
    assert each[0]["Original-Recipient"] == "rfc822; sales+eu@corp.test"
    assert each[0]["Final-Recipient"] == "rfc822; nobody@peer.test"
    assert each[0]["Diagnostic-Code"] == "smtp; 550 5.1.1 No such user Really"
    assert each[1]["Will-Retry-Until"] == "Sun, 29 Nov 2026 08:05:00 +0000"
    assert headers.get_content_type() == "text/rfc822-headers"
    assert (
        headers.get_payload() == HEADER.decode().replace("\r\n", "\n")
        or headers.get_payload() == HEADER.decode()
    )


def test_a_whole_message_goes_back_as_a_message() -> None:
    octets = build(returned=HEADER + b"\r\nbody\r\n", whole=True)[1]
    _, (_, _, message) = parts(octets)
    assert message.get_content_type() == "message/rfc822"
    inner = message.get_payload(0)
    assert isinstance(inner, EmailMessage)
    assert inner["Subject"] == "hello"
    assert inner.get_content().strip() == "body"


def test_octets_beyond_ascii_make_it_eight_bit() -> None:
    returned = "Subject: Grüße\r\n".encode()
    made, octets = build(returned=returned)
    assert made.eight_bit
    assert not made.utf8
    message, (_, status, headers) = parts(octets)
    assert message["Content-Transfer-Encoding"] == "8bit"
    assert status["Content-Transfer-Encoding"] is None
    assert headers["Content-Transfer-Encoding"] == "8bit"
    assert headers.get_content_type() == "text/rfc822-headers"


WIDE = RecipientStatus(
    Mailbox("jörg", "peer.test"),
    "failed",
    Reply(553, "5.6.7", "no"),
    "mx.peer.test",
    "utf-8;j\\x{F6}rg@c.test",
)


def test_an_address_in_utf8_of_a_message_with_smtputf8_stands_as_it_is() -> None:
    """RFC 6533 §3, §4, §5."""
    original = Original(Mailbox("grüße", "corp.test"), "t", MOMENT, utf8=True)
    returned = "Subject: Grüße\r\n".encode()
    made, octets = build(original, (WIDE,), returned)
    assert made.utf8
    assert made.eight_bit
    text = octets.decode("utf-8")
    assert "To: <grüße@corp.test>\r\n" in text
    assert "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n" in text
    assert "Original-Recipient: utf-8; jörg@c.test\r\nFinal-Recipient: utf-8; jörg@peer.test\r\n" in text
    assert "Content-Type: message/global-headers\r\n" in text
    made, octets = build(original, (WIDE,), returned + b"\r\nx\r\n", whole=True)
    assert b"Content-Type: message/global\r\n" in octets


def test_else_it_is_written_in_ascii() -> None:
    original = Original(ALICE, "t", MOMENT)
    made, octets = build(original, (WIDE,))
    assert not made.utf8
    assert b"Content-Type: message/delivery-status\r\n\r\n" in octets
    assert (
        b"Original-Recipient: utf-8; j\\x{F6}rg@c.test\r\nFinal-Recipient: utf-8; j\\x{F6}rg@peer.test\r\n"
        in octets
    )


def test_what_remote_hosts_say_breaks_nothing() -> None:
    said = Reply(550, "5.0.0", "x\r\n--=mx1-80aa01=--\r\nAction: delivered\n" + "y" * 2000)
    status = RecipientStatus(Mailbox("a", "b.test"), "failed", said, "mx\r\n.evil", "x;+zz\r\nAction: x")
    _, (_, part, _) = parts(build(statuses=(status,))[1])
    _, one = [p for p in part.get_payload() if isinstance(p, EmailMessage)]
    assert one.get_all("Action") == ["failed"]


words = st.text(max_size=80)


@given(words, words, words, st.booleans())
def test_nothing_that_was_said_makes_another_field(text: str, host: str, orcpt: str, utf8: bool) -> None:
    status = RecipientStatus(Mailbox("a", "b.test"), "failed", Reply(550, "", text), host, orcpt)
    original = Original(ALICE, "t", MOMENT, orcpt, utf8=utf8)
    octets = build(original, (status,))[1]
    _, (_, part, _) = parts(octets)
    _, one = [p for p in part.get_payload() if isinstance(p, EmailMessage)]
    assert one.get_all("Action") == ["failed"]


@pytest.mark.parametrize(
    ("notify", "actions"),
    [
        ("", {"failed", "delayed"}),
        ("NEVER", set()),
        ("FAILURE", {"failed"}),
        ("DELAY", {"delayed"}),
        ("SUCCESS", {"delivered", "relayed", "expanded"}),
        ("success,failure", {"delivered", "relayed", "expanded", "failed"}),
    ],
)
def test_only_what_was_asked_for_is_reported(notify: str, actions: set[Action]) -> None:
    every: tuple[Action, ...] = ("failed", "delayed", "delivered", "relayed", "expanded")
    assert {action for action in every if wanted(notify, action)} == actions


def test_the_message_goes_back_only_with_failures() -> None:
    assert returns_message("FULL", STATUSES)
    assert not returns_message("FULL", STATUSES[1:4])
    assert not returns_message("HDRS", STATUSES)
    assert not returns_message("", STATUSES)


def test_codes_without_an_enhanced_one_get_the_plainest_of_their_class() -> None:
    assert status_code(RecipientStatus(ALICE, "failed", Reply(552, "", "x"))) == "5.0.0"
    assert status_code(RecipientStatus(ALICE, "delayed", Reply(451, "", "x"))) == "4.0.0"
