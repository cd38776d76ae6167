"""A body's hashes in the canonical forms that a message's signatures ask for, from one pass over its pieces."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final, Literal, TypeAlias

from mxfleet.mail.dkim.canonical import RelaxedBody

Canonicalization: TypeAlias = Literal["simple", "relaxed"]

_EMPTY_LINES: Final = 32_768  # of which so many are hashed at a time


class BodyHashes:
    """SHA-256 of one body in each form that is wanted.

    bodies = BodyHashes(verifier.canonicalizations | chain.canonicalizations)
    bodies.update(piece)               # as often as needed, cut anywhere; nothing is computed where none is wanted
    bodies.digest("relaxed")
    """

    __slots__ = ("_hashes",)

    def __init__(self, canonicalizations: Iterable[Canonicalization]) -> None:
        self._hashes: dict[Canonicalization, RelaxedBody | SimpleBody] = {
            form: RelaxedBody() if form == "relaxed" else SimpleBody() for form in canonicalizations
        }

    def update(self, piece: bytes) -> None:
        """Take a piece of the body."""
        for hashed in self._hashes.values():
            hashed.update(piece)

    def digest(self, form: Canonicalization) -> bytes:
        """The hash in this form of what was taken so far; KeyError for a form that was not asked for."""
        return self._hashes[form].digest()


class SimpleBody:
    """The SHA-256 hash of a body in simple form (RFC 6376 §3.4.3), fed with pieces cut anywhere.

    Only the CRLFs at the end are left out; they are counted until it is known what follows them.
    """

    __slots__ = ("_carriage_return", "_hash", "_lines")

    def __init__(self) -> None:
        """Begin with an empty body."""
        self._hash = sha256()
        self._lines = 0  # line ends not hashed yet
        self._carriage_return = False  # the last octet was one; it belongs behind them

    def update(self, piece: bytes) -> None:
        """Take a piece of the body."""
        if self._carriage_return:
            piece = b"\r" + piece
        self._carriage_return = piece.endswith(b"\r")
        if self._carriage_return:
            piece = piece[:-1]
        end = len(piece.rstrip(b"\r\n"))
        end = _last_stray(piece, end)
        if end:
            self._flush_lines()
            self._hash.update(piece[:end])
        self._lines += (len(piece) - end) // 2

    def digest(self) -> bytes:
        """The hash of the body so far, as if it ended here: with one CRLF, even where it is empty."""
        end = self._hash.copy()
        if self._carriage_return:
            for line_ends in _line_ends(self._lines):
                end.update(line_ends)
            end.update(b"\r")
        end.update(b"\r\n")
        return end.digest()

    def _flush_lines(self) -> None:
        for line_ends in _line_ends(self._lines):
            self._hash.update(line_ends)
        self._lines = 0


def _line_ends(lines: int) -> Iterator[bytes]:
    """So many CRLFs, in pieces of a bearable size."""
    while lines:
        some = min(lines, _EMPTY_LINES)
        yield b"\r\n" * some
        lines -= some


def _last_stray(piece: bytes, end: int) -> int:
    """Where the CRLFs at the end of a piece begin, no earlier than `end`; a bare CR or LF is content."""
    tail = piece[end:]
    if tail == b"\r\n" * (len(tail) // 2):
        return end
    start = len(piece)
    while start - 2 >= end and piece[start - 2 : start] == b"\r\n":
        start -= 2
    return start
