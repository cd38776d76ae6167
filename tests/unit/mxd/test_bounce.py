"""What a sender is told, read back by an independent parser."""

import email
import email.policy
from email.message import EmailMessage

from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.reply import Reply
from mxfleet.mxd import bounce
from mxfleet.mxd.bounce import Failure, Reporter
from mxfleet.mxd.spool.protocol import Envelope, StoredMessage

REPORTER = Reporter("mx1.corp.test", "postmaster@corp.test", 1000.0)
FAILURE = Failure(
    "u@peer.test", Reply(550, "5.1.1", "no such user"), "550 5.1.1 no such user", "mx.peer.test"
)


def envelope(sender: str = "alice@corp.test", submitter: str = "alice@corp.test") -> Envelope:
    return Envelope(
        trace="t1", sender=sender, received=1.0, expires=2.0, submitter=submitter, message_id="<1@corp.test>"
    )


def report(*failures: Failure, original: bytes = b"Subject: lost\r\n\r\nsecret body\r\n") -> EmailMessage:
    message = StoredMessage(1, envelope(), b"Received: by us\r\n", original, 1)
    notice = bounce.notice(REPORTER, message, failures, "t2", 100.0)
    assert notice.envelope.sender == ""
    assert notice.recipients == ("alice@corp.test",)
    assert notice.envelope.size == len(notice.head) + len(notice.body)
    octets = notice.head + notice.body
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


def test_each_recipient_is_told_with_status_and_the_other_side_s_words() -> None:
    expired = Failure(
        "v@peer.test", Reply(451, "4.4.1", "No connection"), "undelivered for too long: 451", ""
    )
    text = report(FAILURE, expired).as_string()
    for line in (
        "Reporting-MTA: dns; mx1.corp.test",
        "Final-Recipient: rfc822; u@peer.test",
        "Status: 5.1.1",
        "Remote-MTA: dns; mx.peer.test",
        "Diagnostic-Code: smtp; 550 5.1.1 no such user",
        "Final-Recipient: rfc822; v@peer.test",
        "Status: 4.4.7",
    ):
        assert line in text
    assert "mx.peer.test said: 550 5.1.1 no such user" in text


def test_only_mail_of_authenticated_users_bounces_and_no_bounce_ever() -> None:
    assert bounce.wanted(envelope())
    assert not bounce.wanted(envelope(submitter=""))
    assert not bounce.wanted(envelope(sender=""))


@given(st.text(max_size=300), st.text(max_size=80), st.binary(max_size=300))
def test_nothing_that_a_remote_says_can_break_the_report(words: str, recipient: str, original: bytes) -> None:
    said = Reply(550, "5.0.0", words)
    clean = original.replace(b"\r", b"").replace(b"\n", b"\r\n")
    parsed = report(Failure(recipient, said, str(said), "mx.peer.test"), original=clean)
    assert len(list(parsed.iter_parts())) == 3
