"""Command lines: the same ones however the octets are cut."""

from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.smtp.data import BadLineEnding
from mxfleet.mail.smtp.lines import MAX_SKIPPED, LineBuffer, LineTooLong

WIRE = st.lists(st.sampled_from([b"\r\n", b"\r\n", b"abc", b"d", b"\r", b"\n", b"x" * 9]), max_size=16).map(
    b"".join
)
LIMIT = 8


def drain(lines: LineBuffer) -> list[bytes | str]:
    found: list[bytes | str] = []
    while True:
        try:
            line = lines.next_line(LIMIT)
        except LineTooLong:
            found.append("too long")
        except BadLineEnding:
            return [*found, "bad"]
        else:
            if line is None:
                return found
            found.append(line)


def reference(octets: bytes) -> list[bytes | str]:
    """Octet by octet, as plainly as possible."""
    found: list[bytes | str] = []
    line, long = b"", False
    for at, octet in enumerate(octets):
        this, following = octets[at : at + 1], octets[at + 1 : at + 2]
        if this == b"\r" and following not in (b"\n", b""):
            return [*found, *([] if long or len(line) + 1 < LIMIT else ["too long"]), "bad"]
        if this == b"\n" and not line.endswith(b"\r"):
            return [*found, "bad"]
        line += bytes([octet])
        if not long and len(line) >= LIMIT and not line.endswith(b"\r\n"):
            found.append("too long")
            long = True
        if line.endswith(b"\r\n"):
            if not long:
                found.append(line[:-2])
            line, long = b"", False
    return found


@given(WIRE, st.integers(1, 9))
def test_lines_are_those_of_the_plain_reading(octets: bytes, size: int) -> None:
    lines = LineBuffer()
    found: list[bytes | str] = []
    for at in range(0, len(octets), size):
        lines.append(octets[at : at + size])
        found += drain(lines)
        if "bad" in found:
            break
    assert found == reference(octets)
    waiting = lines.waiting
    assert len(lines.take_all()) == waiting


def test_what_follows_can_be_taken_raw_and_given_back() -> None:
    lines = LineBuffer()
    lines.append(b"DATA\r\nbody")
    assert lines.next_line(LIMIT) == b"DATA"
    assert lines.waiting == 4
    assert lines.take_all() == b"body"
    assert lines.waiting == 0
    lines.put_back(b"NOOP\r\n")
    assert lines.next_line(LIMIT) == b"NOOP"


def test_an_endless_line_is_not_skipped_for_ever() -> None:
    lines = LineBuffer()
    lines.append(b"x" * LIMIT)
    assert drain(lines) == ["too long"]
    for _ in range(MAX_SKIPPED // 8192 - 1):
        lines.append(b"x" * 8192)
        assert drain(lines) == []
    lines.append(b"x" * 8192)
    assert drain(lines) == ["bad"]
