"""What is counted of a message that comes round again."""

import pytest

from mxfleet.mail.message import parse_headers
from mxfleet.mxd.stamp import own_hops, scan, scanned

NAMES = {"mx.corp.test", "mx1.corp.test"}
OURS = b"Received: from a.test\r\n\tby mx1.corp.test (mxd) with ESMTP id 1;\r\n\tdate\r\n"
LINE = b"Received: from b.test by MX.corp.test; date\r\n"
OTHER = b"Received: from mx1.corp.test by mx.corp.test.evil.test; date\r\n"


def test_only_what_we_received_counts() -> None:
    assert own_hops(OURS + LINE + OTHER + b"\r\nReceived: from c by mx.corp.test;\r\n", NAMES) == 2
    assert own_hops(OTHER, NAMES) == 0
    assert own_hops(OURS, ()) == 0


def test_many_fields_are_counted_in_the_time_that_it_takes_to_read_them() -> None:
    assert own_hops(b"Received: by" + b" by" * 80_000 + b"\r\n", NAMES) == 0


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (OURS + LINE + b"Message-ID:\r\n <1@a.test> x\r\nX-Received: y\r\n", (2, "<1@a.test>")),
        (b"MESSAGE-ID: <1@a.test>\r\nreceived: x\r\nMessage-ID: <2@a.test>\r\n", (1, "<1@a.test>")),
        (b"Message-ID: none\r\nMessage-ID: <2@a.test>\r\n", (0, "")),
        (b"Subject: x\r\n received: y\r\n", (0, "")),
    ],
)
def test_hops_and_message_id_are_the_same_whether_the_header_was_read_or_not(
    header: bytes, found: tuple[int, str]
) -> None:
    assert scan(header + b"\r\nReceived: in the body\r\n") == scanned(parse_headers(header)) == found
