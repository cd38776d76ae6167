"""BDAT (RFC 3030): however the octets are cut into chunks and segments, the message is that of DATA."""

from hypothesis import example, given
from hypothesis import strategies as st

from mxfleet.mail.smtp.data import BadLineEnding, check_line_endings
from mxfleet.mail.smtp.reception import Chunk, ChunkedReception

PIECES = st.lists(
    st.lists(st.sampled_from([b"\r\n", b"a", b".", b"\r", b"\n", b"\r\n.\r\n"]), max_size=5).map(b"".join),
    min_size=1,
    max_size=6,
)


def receive(chunks: list[bytes], size: int, limit: int = 1000) -> tuple[bytes, bool]:
    """The message, and whether it failed; each chunk followed by octets that are not its own."""
    reception, message = ChunkedReception(limit), b""
    for number, chunk in enumerate(chunks):
        message += reception.begin(Chunk(len(chunk), last=number == len(chunks) - 1))
        wire = chunk + b"NOOP\r\n"
        while not reception.ended:
            piece, rest = reception.push(wire[:size])
            message += piece
            wire = wire[size:]
            if rest is not None:
                assert rest + wire == b"NOOP\r\n"
        if reception.failure is not None:
            return message, True
        assert reception.size == len(message)
    return message, False


@given(PIECES, st.integers(1, 9))
@example([b"a\r", b"\n"], 1)
@example([b"a\r", b""], 1)
def test_chunks_are_the_message_with_its_last_line_ended(chunks: list[bytes], size: int) -> None:
    whole = b"".join(chunks)
    message, failed = receive(chunks, size)
    try:
        check_line_endings(whole)
    except BadLineEnding:
        assert failed
        assert whole.startswith(message)
        return
    assert not failed
    assert message == (whole if whole.endswith(b"\r\n") or not whole else whole + b"\r\n")


@given(PIECES, st.integers(1, 40))
def test_a_message_of_chunks_is_measured_as_a_whole(chunks: list[bytes], limit: int) -> None:
    whole = b"".join(chunks)
    if len(whole) > limit:
        assert receive(chunks, 7, limit)[1]
