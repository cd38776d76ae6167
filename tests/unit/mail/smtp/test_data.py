"""The message between DATA and the final dot: both ways, cut anywhere."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mxfleet.mail.smtp.data import BadLineEnding, DataReader, DataWriter, check_line_endings

CUTS = st.lists(st.integers(0, 200), max_size=12)
# Mostly what matters: dots, line ends, and something else.
WIRE = st.lists(st.sampled_from([b"\r\n", b".", b"a", b"\r", b"\n", b"\r\n.\r\n", b"\0"]), max_size=24).map(
    b"".join
)
LINES = st.lists(
    st.lists(st.sampled_from([b".", b"a", b" ", b"\xff"]), max_size=5).map(b"".join), max_size=8
).map(lambda lines: b"".join(line + b"\r\n" for line in lines))


def pieces(octets: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut for cut in cuts if cut < len(octets)), len(octets)]
    return [octets[start:end] for start, end in pairwise(edges)]


def read(parts: list[bytes]) -> tuple[bytes, bytes | None]:
    """The message so far, and what followed its end."""
    reader, message = DataReader(), b""
    for number, part in enumerate(parts):
        piece, rest = reader.push(part)
        message += piece
        assert reader.size == len(message)
        if rest is not None:
            return message, rest + b"".join(parts[number + 1 :])
    return message, None


def reference(octets: bytes) -> tuple[bytes, bytes | None]:
    """RFC 5321 §4.5.2 line by line, as slowly and plainly as possible."""
    message = b""
    while True:
        line, end, octets = octets.partition(b"\r\n")
        if b"\r" in line or b"\n" in line:
            raise BadLineEnding("bare")
        if not end:
            return message + line.removeprefix(b"."), None
        if line == b".":
            return message, octets
        message += line.removeprefix(b".") + end


@given(WIRE, CUTS)
@example(b"\n.\r\n", [])
@example(b"\r\n.\n", [])
@example(b"a\r", [1])
def test_the_reader_agrees_with_the_plain_reading(octets: bytes, cuts: list[int]) -> None:
    parts = pieces(octets, cuts)
    try:
        message, rest = reference(octets)
    except BadLineEnding:
        # A CR at the very end is not bare yet; nothing else is let through, and nothing is complete.
        try:
            assert read(parts)[1] is None
        except BadLineEnding:
            return
        assert re.fullmatch(rb"(?:[^\r\n]|\r\n)*\r", octets)
        return
    got, after = read(parts)
    assert after == rest
    if rest is not None:
        assert got == message
    else:
        assert message.startswith(got)  # up to four octets are held back


@given(LINES, st.binary(max_size=6), CUTS, CUTS)
def test_what_is_written_is_read_back_however_both_are_cut(
    message: bytes, after: bytes, written: list[int], received: list[int]
) -> None:
    writer = DataWriter()
    wire = b"".join(writer.push(piece) for piece in pieces(message, written)) + writer.finish()
    assert wire.endswith(b".\r\n")
    assert read(pieces(wire + after, received)) == (message, after)


@given(WIRE, CUTS)
def test_the_writer_never_lets_a_bare_cr_or_lf_or_an_early_end_out(octets: bytes, cuts: list[int]) -> None:
    writer, wire = DataWriter(), b""
    try:
        for piece in pieces(octets, cuts):
            wire += writer.push(piece)
        wire += writer.finish()
    except BadLineEnding:
        assert re.search(rb"(?<!\r)\n|\r(?!\n)", octets)
        assert not re.search(rb"(?:^|\r\n)\.\r\n", wire)  # what went out before has no end in it
    else:
        assert wire.count(b"\r\n.\r\n") + wire.startswith(b".\r\n") == 1
    check_line_endings(wire)


def test_a_missing_last_line_end_is_added() -> None:
    writer = DataWriter()
    assert writer.push(b"a") + writer.finish() == b"a\r\n.\r\n"
    assert DataWriter().finish() == b".\r\n"


@pytest.mark.parametrize(
    "octets", [b"\n", b"\r", b"a\nb", b"a\rb", b"\n\r", b"\r\r\n", b"\r\n\n", b"a\r\n\r"]
)
def test_a_bare_cr_or_lf_is_found(octets: bytes) -> None:
    with pytest.raises(BadLineEnding):
        check_line_endings(octets)


@pytest.mark.parametrize("octets", [b"", b"a", b"\r\n", b"a\r\n\r\nb"])
def test_crlf_is_not(octets: bytes) -> None:
    check_line_endings(octets)
