"""The header fields that we write ourselves."""

from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.errors import MessageError
from mxfleet.mail.address import Mailbox
from mxfleet.mail.message import parse_headers
from mxfleet.mail.smtp.events import TlsInfo
from mxfleet.mail.trace import Received, format_date, missing_for_submission, return_path

MOMENT = datetime(2026, 11, 24, 8, 5, 0, tzinfo=UTC)


def test_a_received_field_tells_the_hop() -> None:
    field = Received(
        by="mx1.corp.test",
        hello="mail.peer.test",
        address="10.77.0.100",
        protocol="ESMTPS",
        trace="01JDF7",
        date=MOMENT,
        reverse_name="world.peer.test",
        tls=TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        recipient=Mailbox("alice", "corp.test"),
    )
    assert field.render() == (
        b"Received: from mail.peer.test (world.peer.test [10.77.0.100])\r\n"
        b"\tby mx1.corp.test with ESMTPS id 01JDF7 (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n"
        b"\tfor <alice@corp.test>;\r\n"
        b"\tTue, 24 Nov 2026 08:05:00 +0000\r\n"
    )


def test_without_a_verified_name_and_over_ipv6() -> None:
    field = Received("mx1.corp.test", "[IPv6:fd77::1]", "fd77::1", "SMTP", "t1", MOMENT)
    assert field.render() == (
        b"Received: from [IPv6:fd77::1] (unknown [IPv6:fd77::1])\r\n"
        b"\tby mx1.corp.test with SMTP id t1;\r\n"
        b"\tTue, 24 Nov 2026 08:05:00 +0000\r\n"
    )


@given(st.text(max_size=60))
def test_what_a_client_says_stays_where_it_is_put(hello: str) -> None:
    octets = Received("mx1.corp.test", hello, "192.0.2.1", "ESMTP", "t1", MOMENT).render()
    (field,) = parse_headers(octets)
    assert field.text.count("(") == field.text.count(")") == 1
    assert field.text.count(";") == 1
    assert " (unknown [192.0.2.1])\tby mx1.corp.test with ESMTP id t1;\t" in field.text


def test_return_path() -> None:
    assert return_path(Mailbox("a b", "c.test")) == b'Return-Path: <"a b"@c.test>\r\n'
    assert return_path(None) == b"Return-Path: <>\r\n"


def test_dates_have_a_zone_and_are_those_of_rfc_5322() -> None:
    zoned = datetime(2026, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=-5, minutes=-30)))
    assert format_date(zoned) == "Sun, 01 Mar 2026 12:00:00 -0530"
    with pytest.raises(MessageError, match="no time zone"):
        format_date(datetime(2026, 3, 1))  # noqa: DTZ001


def test_a_submitted_message_gets_what_it_lacks_and_no_more() -> None:
    bare = parse_headers(b"From: a@b.test\r\n")
    added = missing_for_submission(bare, date=MOMENT, message_id="t1@mx1.corp.test")
    assert added == b"Date: Tue, 24 Nov 2026 08:05:00 +0000\r\nMessage-ID: <t1@mx1.corp.test>\r\n"
    whole = parse_headers(added + bare.raw)
    assert missing_for_submission(whole, date=MOMENT, message_id="t2@mx1.corp.test") == b""
    assert message_from_bytes(added, policy=default)["message-id"] == "<t1@mx1.corp.test>"
