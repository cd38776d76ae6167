"""What is counted of a message that comes round again."""

from mxfleet.mxd.stamp import own_hops

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
