"""The message between DATA and the final dot (RFC 5321 §4.1.1.4, §4.5.2), piece by piece, both ways.

One definition of a line on both sides: it ends in CRLF, and CR or LF stand nowhere else. Two hosts that see
line ends differently see different messages; that is what SMTP smuggling lives on.
"""

from typing import Final

from mxfleet.errors import MessageError

CHUNK: Final = 65_536  # octets that make a chunk worth its answer
_END: Final = b"\r\n.\r\n"
_HELD: Final = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")  # the beginnings of the end, longest first


class BadLineEnding(MessageError):
    """A CR or LF that is not part of a CRLF."""


def check_line_endings(data: bytes) -> None:
    """Raise BadLineEnding unless each CR is followed by LF and each LF follows CR."""
    bare = data.replace(b"\r\n", b"  ")  # of the same length: half the time of taking them out
    if b"\n" in bare:
        raise BadLineEnding("bare LF in the message")
    if b"\r" in bare:
        raise BadLineEnding("bare CR in the message")


class DataReader:
    """Receives a message: finds its end, takes the stuffed dots out; holds back at most four octets."""

    __slots__ = ("_first", "_held", "size")

    def __init__(self) -> None:
        """Begin behind the CRLF of the DATA command, which is also the first line's beginning."""
        self._held = b"\r\n"
        self._first = True
        self.size = 0

    def push(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Take octets; return a piece of the message, and what follows its end (None before the end).

        Raises BadLineEnding as soon as one is seen, before anything at or behind it is returned.
        """
        data = self._held + data
        dot = data.find(b"\r\n.")
        end = data.find(_END, dot) if dot >= 0 else -1
        if end >= 0:
            piece, rest = data[: end + 2], data[end + 5 :]
        else:
            self._held = next((held for held in _HELD if data.endswith(held)), b"")
            piece, rest = data[: len(data) - len(self._held)], None
        check_line_endings(piece)
        if 0 <= dot != end:
            piece = b"\r\n".join(piece.split(b"\r\n."))  # RFC 5321 §4.5.2; replace looks for them twice
        if self._first and piece:
            piece = piece[2:]  # the DATA command's own CRLF
            self._first = False
        self.size += len(piece)
        return piece, rest


class ChunkWriter:
    """Sends a message as chunks (RFC 3030 §2): counts, and lets no bare CR or LF out, for it is text all the same."""

    __slots__ = ("_held", "_length", "_line_begins", "_pieces")

    def __init__(self) -> None:
        """Begin behind the last RCPT."""
        self._held = b""
        self._line_begins = True
        self._pieces: list[bytes] = []
        self._length = 0

    def push(self, piece: bytes) -> bytes:
        """A chunk to send, or b"" while it is not worth one; BadLineEnding where it must not be sent at all."""
        data = self._held + piece if self._held else piece
        self._held = b"\r" if data.endswith(b"\r") else b""
        if self._held:
            data = data[:-1]
        check_line_endings(data)
        if data:
            self._line_begins = data.endswith(b"\r\n")
            self._pieces.append(data)
            self._length += len(data)
        return self._chunk(b"") if self._length >= CHUNK else b""

    def finish(self) -> bytes:
        """The last chunk; a last line without CRLF is given one, as by DATA."""
        if self._held:
            raise BadLineEnding("bare CR at the end of the message")
        if not self._line_begins:
            self._pieces.append(b"\r\n")
            self._length += 2
        return self._chunk(b" LAST")

    def _chunk(self, mark: bytes) -> bytes:
        octets = b"".join([b"BDAT %d%b\r\n" % (self._length, mark), *self._pieces])
        self._pieces.clear()
        self._length = 0
        return octets


class DataWriter:
    """Sends a message: stuffs dots, and lets no bare CR or LF out."""

    __slots__ = ("_held", "_line_begins")

    def __init__(self) -> None:
        """Begin behind the 354."""
        self._held = b""
        self._line_begins = True

    def push(self, piece: bytes) -> bytes:
        """The octets to send for a piece of the message; BadLineEnding where it must not be sent at all."""
        data = self._held + piece
        self._held = b"\r" if data.endswith(b"\r") else b""
        if self._held:
            data = data[:-1]
        if not data:
            return b""
        check_line_endings(data)
        stuffed = data.replace(b"\r\n.", b"\r\n..") if b"\r\n." in data else data
        if self._line_begins and data.startswith(b"."):
            stuffed = b"." + stuffed
        self._line_begins = data.endswith(b"\r\n")
        return stuffed

    def finish(self) -> bytes:
        """The end of the message; a last line without CRLF is given one (RFC 5321 §4.1.1.4)."""
        if self._held:
            raise BadLineEnding("bare CR at the end of the message")
        return b".\r\n" if self._line_begins else b"\r\n.\r\n"
