"""Header sections, cut without losing an octet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.errors import MessageError
from mxfleet.mail.message import HeaderReader, needs_utf8, parse_headers, split_message

MESSAGE = (
    b"Received: from a\r\n\tby b\r\nReceived: from c\r\nFROM : Alice <a@b.test>\r\n"
    b"Subject: caf\xc3\xa9\r\n \r\n  folded\r\n\r\nbody\r\n\r\nmore\r\n"
)


def test_fields_are_found_by_name_without_case() -> None:
    headers, body = split_message(MESSAGE)
    assert headers.count("received") == 2
    assert headers.first("Received") == "from a\tby b"
    assert headers.first("From") == "Alice <a@b.test>"
    assert headers.first("subject") == "café   folded"
    assert headers.first("To") is None
    assert [field.name for field in headers] == [b"received", b"received", b"from", b"subject"]
    assert body == b"body\r\n\r\nmore\r\n"
    assert headers.raw + b"\r\n" + body == MESSAGE


@given(st.integers(1, 40))
def test_pieces_of_any_size_give_the_same_headers(size: int) -> None:
    reader = HeaderReader()
    for at in range(0, len(MESSAGE), size):
        if (headers := reader.push(MESSAGE[at : at + size])) is not None:
            assert headers.raw + b"\r\n" + reader.rest + MESSAGE[at + size :] == MESSAGE
            return
    pytest.fail("the headers did not end")


def test_a_message_may_be_all_header_or_all_body() -> None:
    headers, body = split_message(b"Subject: x\r\n")
    assert (headers.count("subject"), body) == (1, b"")
    headers, body = split_message(b"\r\nbody\r\n")
    assert (headers.fields, body) == ((), b"body\r\n")
    headers, body = split_message(b"")
    assert (headers.fields, body) == ((), b"")


@pytest.mark.parametrize(
    "message",
    [
        b" continuation first\r\n\r\n",
        b"no colon\r\n\r\n",
        b"From alice Mon Nov 24\r\n\r\n",
        b"A: b\r\n: no name\r\n\r\n",
        b"caf\xc3\xa9: x\r\n\r\n",
        b"Subject: no end",
    ],
)
def test_what_is_no_header_section_is_refused(message: bytes) -> None:
    with pytest.raises(MessageError):
        split_message(message)


def test_a_header_section_has_a_largest_size() -> None:
    reader = HeaderReader(limit=100)
    assert reader.push(b"A: " + b"b" * 90) is None
    with pytest.raises(MessageError, match="larger than 100"):
        reader.push(b"b" * 90)
    with pytest.raises(MessageError, match="larger than 100"):
        HeaderReader(limit=100).push(b"A: " + b"b" * 100 + b"\r\n\r\n")


names = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1)
bodies = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"))


@given(st.lists(st.tuples(names, st.lists(bodies, min_size=1, max_size=3))))
def test_no_octet_is_lost_or_changed(fields: list[tuple[str, list[str]]]) -> None:
    raw = b""
    for name, body in fields:
        raw += name.encode() + b":" + "\r\n ".join(body).encode() + b"\r\n"
    headers = parse_headers(raw)
    assert b"".join(field.raw for field in headers) == raw
    assert [field.name for field in headers] == [name.lower().encode() for name, _ in fields]


@pytest.mark.parametrize(
    ("start", "needed"),
    [
        (b"Subject: x\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n", False),
        ("Subject: Grüße\r\n\r\n".encode(), True),
        ("Subject: Grüße\r\n".encode(), True),
        ("\r\nGrüße\r\n".encode(), False),
        (b"Subject: x\r\n\r\n", False),
        (b"", False),
    ],
)
def test_only_header_fields_beyond_ascii_need_smtputf8(start: bytes, needed: bool) -> None:
    assert needs_utf8(start) == needed


def test_a_header_line_without_a_colon_costs_no_more_than_it_is_long() -> None:
    """A search that begins anew at each octet took a minute for this one."""
    with pytest.raises(MessageError, match="neither a field nor a continuation"):
        parse_headers(b"a" * 200_000 + b"\r\n")
