"""What a sender is told, read back by an independent parser."""

import email
import email.policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.address import parse_mailbox
from mxfleet.mail.dsn import RecipientStatus
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.delivery import RecipientResult, Status
from mxfleet.mxd import bounce
from mxfleet.mxd.bounce import LARGEST, Reporter
from mxfleet.mxd.dialogue import Attempt
from mxfleet.mxd.spool.protocol import Envelope, Lease, Recipient, Result, State, StoredMessage

REPORTER = Reporter("mx1.corp.test", "postmaster@corp.test", 1000.0, 60.0)
NO_USER = Reply(550, "5.1.1", "no such user")
FAILURE = RecipientStatus(parse_mailbox("u@peer.test"), "failed", NO_USER, "mx.peer.test")
ORIGINAL = b"Subject: lost\r\n\r\nsecret body\r\n"


def envelope(**given: Any) -> Envelope:
    defaults: dict[str, Any] = {
        "trace": "t1", "sender": "alice@corp.test", "received": 1.0, "expires": 900.0,
        "submitter": "alice@corp.test", "message_id": "<1@corp.test>",
    }  # fmt: skip
    return Envelope(**(defaults | given))


def lease(said: Envelope, *recipients: str, warned: bool = False) -> Lease:
    message = StoredMessage(1, said, b"Received: by us\r\n", ORIGINAL, 1)
    members = tuple(Recipient(n, address) for n, address in enumerate(recipients or ("u@peer.test",)))
    return Lease(1, 1, 9e9, "peer.test", 0, message, members, expires=900.0, warned=warned)


def told(
    held: Lease, status: Status, state: State, now: float = 10.0, reply: Reply = NO_USER, **facts: Any
) -> list[tuple[str, str]]:
    answers = tuple(
        RecipientResult(parse_mailbox(r.address), status, "rcpt", reply, True, False) for r in held.recipients
    )
    results = [Result(r.number, state, str(reply)) for r in held.recipients]
    attempt = Attempt(answers, "mx.peer.test", **facts)
    found = bounce.statuses(REPORTER, held, attempt, results, now)
    return [(str(one.recipient), one.action) for one in found]


def written(said: Envelope, *statuses: RecipientStatus, original: bytes = ORIGINAL, chunks: int = 1) -> bytes:
    message = StoredMessage(1, said, b"Received: by us\r\n", original, chunks)
    made = bounce.notice(REPORTER, message, statuses, "alice@corp.test", ("alice@corp.test",), "t2", 100.0)
    assert made.envelope.sender == ""
    assert made.recipients == ("alice@corp.test",)
    assert made.envelope.size == len(made.body)
    return made.head + made.body


def report(*statuses: RecipientStatus, original: bytes = ORIGINAL, **given: Any) -> EmailMessage:
    octets = written(envelope(**given), *statuses, original=original)
    assert octets.count(b"\n") == octets.count(b"\r\n") == octets.count(b"\r")
    parsed = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def test_a_report_has_its_three_parts_and_the_headers_only() -> None:
    parsed = report(FAILURE)
    assert parsed.get_content_type() == "multipart/report"
    assert parsed.get_param("report-type") == "delivery-status"
    kinds = [part.get_content_type() for part in parsed.iter_parts()]
    assert kinds == ["text/plain", "message/delivery-status", "text/rfc822-headers"]
    assert "secret body" not in parsed.as_string()
    assert "Subject: lost" in parsed.as_string()
    assert parsed["Auto-Submitted"] == "auto-replied"
    assert parsed["References"] == "<1@corp.test>"
    assert parsed.defects == []


def test_the_whole_message_goes_back_where_the_sender_asked_for_it_and_it_is_no_burden() -> None:
    parsed = report(FAILURE, ret="FULL", envid="QQ+2B1")
    kinds = [part.get_content_type() for part in parsed.iter_parts()]
    assert kinds == ["text/plain", "message/delivery-status", "message/rfc822"]
    assert "secret body" in parsed.as_string()
    assert "Original-Envelope-Id: QQ+1" in parsed.as_string()
    big = ORIGINAL + b"x" * LARGEST
    assert b"secret body" not in written(envelope(ret="FULL"), FAILURE, original=big)
    assert b"secret body" not in written(envelope(ret="FULL"), FAILURE, chunks=2)


def test_a_header_that_is_a_burden_itself_is_cut_at_a_line() -> None:
    big = b"X-Long: " + b"y" * 70 + b"\r\n"
    octets = written(envelope(), FAILURE, original=big * 3000 + b"\r\n")
    assert LARGEST < len(octets) < LARGEST + 4096
    assert octets.count(b"\n") == octets.count(b"\r\n")


def test_each_recipient_is_told_with_status_and_the_other_side_s_words() -> None:
    late = Reply(451, "4.4.1", "No connection")
    expired = RecipientStatus(parse_mailbox("v@peer.test"), "failed", late, orcpt="rfc822;w@corp.test")
    text = report(FAILURE, expired).as_string()
    for line in (
        "Reporting-MTA: dns; mx1.corp.test",
        "Final-Recipient: rfc822; u@peer.test",
        "Status: 5.1.1",
        "Remote-MTA: dns; mx.peer.test",
        "Diagnostic-Code: smtp; 550 5.1.1 no such user",
        "Original-Recipient: rfc822; w@corp.test",
        "Final-Recipient: rfc822; v@peer.test",
        "Status: 4.4.7",
    ):
        assert line in text
    assert "mx.peer.test said: 550 5.1.1 no such user" in text


@pytest.mark.parametrize(
    ("said", "whom"),
    [
        ({}, "alice@corp.test"),
        ({"submitter": "", "passed": True}, "alice@corp.test"),
        ({"submitter": "", "passed": False}, ""),
        ({"sender": ""}, ""),
        ({"sender": "", "submitter": "", "notice": 1}, "chief@corp.test"),
        ({"sender": "", "submitter": "", "notice": 2}, ""),
    ],
)
def test_only_who_is_known_to_have_sent_it_is_told_and_of_reports_the_postmaster_once(
    said: dict[str, Any], whom: str
) -> None:
    assert bounce.addressee(envelope(**said), "chief@corp.test") == whom


def test_a_report_on_a_report_is_the_last() -> None:
    message = StoredMessage(1, envelope(sender="", submitter="", notice=1), b"", ORIGINAL, 1)
    chief = ("chief@corp.test",)
    made = bounce.notice(REPORTER, message, [FAILURE], chief[0], chief, "t2", 100.0)
    assert made.envelope.notice == 2
    assert b"To: <chief@corp.test>" in made.head


@pytest.mark.parametrize(
    ("notify", "attempted", "expected"),
    [
        ("", ("failed", "failed"), "failed"),
        ("NEVER", ("failed", "failed"), None),
        ("SUCCESS", ("failed", "failed"), None),
        ("success,failure", ("failed", "failed"), "failed"),
        ("", ("delivered", "delivered"), None),
        ("SUCCESS", ("delivered", "delivered"), "relayed"),
        ("NEVER", ("delivered", "delivered"), None),
        ("", ("deferred", "waiting"), None),
        ("DELAY", ("deferred", "waiting"), None),
    ],
)
def test_the_sender_is_told_what_he_asked_for(notify: str, attempted: Any, expected: str | None) -> None:
    held = lease(envelope(notify={"u@peer.test": notify} if notify else {}))
    assert told(held, *attempted) == ([("u@peer.test", expected)] if expected else [])


def test_success_is_told_by_who_knows_it() -> None:
    asked = lease(envelope(notify={"u@peer.test": "SUCCESS"}))
    assert told(asked, "delivered", "delivered", final=True) == [("u@peer.test", "delivered")]
    assert told(asked, "delivered", "delivered", reports=True) == []
    assert told(asked, "delivered", "delivered", final=True, reports=True) == [("u@peer.test", "delivered")]


@pytest.mark.parametrize(
    ("said", "warned", "now", "expected"),
    [
        ({}, False, 62.0, True),
        ({}, False, 60.0, False),
        ({}, True, 62.0, False),
        ({"notify": {"u@peer.test": "FAILURE"}}, False, 62.0, False),
        ({"submitter": "", "passed": True}, False, 62.0, False),
        ({"submitter": "", "passed": True, "notify": {"u@peer.test": "DELAY"}}, False, 62.0, True),
        ({"sender": "", "submitter": "", "notice": 1}, False, 62.0, False),
    ],
)
def test_a_delay_is_told_once_after_its_time(
    said: dict[str, Any], warned: bool, now: float, expected: bool
) -> None:
    found = told(lease(envelope(**said), warned=warned), "deferred", "waiting", now)
    assert found == ([("u@peer.test", "delayed")] if expected else [])


@given(st.text(max_size=300), st.text(max_size=80), st.binary(max_size=300))
def test_nothing_that_a_remote_says_can_break_the_report(words: str, recipient: str, original: bytes) -> None:
    said = Reply(550, "5.0.0", words)
    clean = original.replace(b"\r", b"").replace(b"\n", b"\r\n")
    answer = RecipientResult(parse_mailbox("u@peer.test"), "failed", "rcpt", said, True, False)
    (status,) = bounce.statuses(
        REPORTER,
        lease(envelope(), recipient),
        Attempt((answer,), "mx.peer.test"),
        [Result(0, "failed", "")],
        1.0,
    )
    assert len(list(report(status, original=clean).iter_parts())) == 3
