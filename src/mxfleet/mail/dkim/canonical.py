"""Canonical forms (RFC 6376 §3.4), the body's over pieces of any size in constant memory.

No regular expression and no loop over lines: `bytes.replace` and `bytes.split` are an order of magnitude faster.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from mxfleet.mail.message import Field

_SPACE: Final = b" \t\r\n"
_EMPTY_LINES: Final = 32_768  # of which so many are hashed at a time


def relaxed_header(field: Field) -> bytes:
    """RFC 6376 §3.4.2, with CRLF at the end."""
    return relaxed_fields([(field.name, field)])


def relaxed_fields(chosen: Iterable[tuple[bytes, Field]]) -> bytes:
    """As `relaxed_header`, for several fields with their lower-case names, all of them in a few passes."""
    # A value that begins with a fold is stripped here; every other line break within a value has a blank behind it.
    lines = [name + b":" + field.body.lstrip(_SPACE) + b"\r\n" for name, field in chosen]
    octets = b"".join(lines).replace(b"\t", b" ").replace(b"\r\n ", b" ")
    return _collapse(octets).replace(b" \r\n", b"\r\n")


def relaxed_field(name: bytes, body: bytes) -> bytes:
    """As `relaxed_header`, for a lower-case name and what follows its colon."""
    return name + b":" + _collapse(body.replace(b"\r\n", b"").replace(b"\t", b" ")).strip(b" ") + b"\r\n"


class RelaxedBody:
    """The SHA-256 hash of a body in relaxed form (RFC 6376 §3.4.4), fed with pieces cut anywhere.

    Line endings must be CRLF; the SMTP engine sees to that. White space at the end of a piece is not hashed
    but counted until it is known what follows it.
    """

    __slots__ = ("_hash", "_lines", "_space", "size")

    def __init__(self) -> None:
        """Begin with an empty body."""
        self._hash = sha256()
        self._lines = 0  # line ends not hashed yet
        self._space = False  # white space behind them
        self.size = 0  # octets hashed, as an `l=` counts them

    def update(self, piece: bytes) -> None:
        """Take a piece of the body."""
        content = piece.rstrip(_SPACE)
        if not content:
            self._gap(piece)
            return
        tail = piece[len(content) :]
        inner = content.lstrip(_SPACE)
        if len(inner) != len(content):
            self._gap(content[: len(content) - len(inner)])
        self._flush_gap()
        self._feed(_relaxed_lines(inner))
        self._gap(tail)

    def digest(self) -> bytes:
        """The hash of the body so far, as if it ended here: no empty lines at the end, one CRLF."""
        end = self._hash.copy()
        if self.size:
            end.update(b"\r\n")
        return end.digest()

    def _gap(self, white: bytes) -> None:
        lines = white.count(b"\n")
        if lines:
            self._lines += lines
            self._space = False  # it stood at a line's end
            white = white[white.rfind(b"\n") + 1 :]
        self._space = self._space or b" " in white or b"\t" in white

    def _flush_gap(self) -> None:
        while self._lines:
            lines = min(self._lines, _EMPTY_LINES)
            self._feed(b"\r\n" * lines)
            self._lines -= lines
        if self._space:
            self._feed(b" ")
            self._space = False

    def _feed(self, octets: bytes) -> None:
        self._hash.update(octets)
        self.size += len(octets)


def _relaxed_lines(octets: bytes) -> bytes:
    """Lines as RFC 6376 §3.4.4 has them."""
    return b"\r\n".join(_collapse(octets.replace(b"\t", b" ")).split(b" \r\n"))


def _collapse(octets: bytes) -> bytes:
    """Every run of blanks as one; one at the very end may go, which no caller minds.

    To split and join is faster than to replace. Between two pairs of blanks is nothing, and behind the last one
    a blank, where a run is longer than two.
    """
    first, *others = octets.split(b"  ")
    if not others:
        return first
    return b" ".join([first, *filter(None, [other.lstrip(b" ") for other in others])])
