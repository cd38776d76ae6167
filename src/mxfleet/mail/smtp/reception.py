"""One message on its way in, by DATA or BDAT: its octets, its size against the limit, whether it failed already."""

from dataclasses import dataclass
from typing import TypeAlias

from mxfleet.errors import SmtpError
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp import replies
from mxfleet.mail.smtp.data import BadLineEnding, DataReader, check_line_endings
from mxfleet.mail.smtp.replies import Breach


class Reception:
    """Behind the 354, up to the final dot."""

    __slots__ = ("_limit", "_reader", "ended", "failure")
    last = True
    refused = False

    def __init__(self, limit: int) -> None:
        """`limit` is the largest size in octets."""
        self._reader = DataReader()
        self._limit = limit
        self.ended = False
        self.failure: Reply | None = None  # the reply that its end will get, where not the driver's

    @property
    def size(self) -> int:
        """Octets of the message so far, dots unstuffed."""
        return self._reader.size

    def push(self, octets: bytes) -> tuple[bytes, bytes | None]:
        """Take octets; return what the driver shall have, and what follows the message's end.

        RFC 1870 §6.3: a message that grows too big is read to its end, then refused; but not for ever.
        """
        piece, rest = self._reader.push(octets)
        self.ended = rest is not None
        if self._reader.size > self._limit:
            if self._reader.size > 2 * self._limit:
                raise Breach(replies.TOO_BIG)
            self.failure = self.failure or replies.TOO_BIG
        return (piece if self.failure is None else b""), rest

    def fail(self, reply: Reply) -> None:
        """No more of it is wanted; its end gets this reply."""
        _must_be_negative(reply)
        self.failure = self.failure or reply


@dataclass(frozen=True, slots=True)
class Chunk:
    """What BDAT announces: so many octets follow, and whether they are the last (RFC 3030 §2)."""

    size: int
    last: bool


class ChunkedReception:
    """One chunk after another (RFC 3030 §2); framed by counting, yet text with the line endings of DATA.

    Without BINARYMIME a message is lines that end in CRLF: what could not have come by DATA fails, for it could
    not be sent on by DATA either.
    """

    __slots__ = ("_held", "_limit", "_remaining", "_tail", "ended", "failure", "last", "refused", "size")

    def __init__(self, limit: int, failure: Reply | None = None) -> None:
        """`limit` is as with Reception; a `failure` from the beginning refuses a chunk and reads it all the same."""
        self._limit = limit
        self._remaining = 0
        self._held = b""  # a CR whose LF may be in the next chunk
        self._tail = b"\r\n"  # the last octets that were handed on
        self.ended = False
        self.last = False
        self.size = 0
        self.failure = failure
        self.refused = failure is not None

    def begin(self, chunk: Chunk) -> bytes:
        """Another chunk is announced; returns what the driver shall have at once: a line end, where one lacks."""
        self._remaining, self.last, self.ended = chunk.size, chunk.last, chunk.size == 0
        if self.size + chunk.size > self._limit:
            self.failure = self.failure or replies.TOO_BIG
        return self._checked(b"") if self.ended else b""

    def push(self, octets: bytes) -> tuple[bytes, bytes | None]:
        """Take octets; return what the driver shall have, and what follows the chunk's end."""
        piece, rest = octets[: self._remaining], octets[self._remaining :]
        self._remaining -= len(piece)
        self.ended = self._remaining == 0
        return self._checked(piece), rest if self.ended else None

    def fail(self, reply: Reply) -> None:
        """See Reception."""
        _must_be_negative(reply)
        self.failure = self.failure or reply

    def _checked(self, piece: bytes) -> bytes:
        if self.failure is not None:
            return b""
        data, at_end = self._held + piece if self._held else piece, self.ended and self.last
        self._held = b"\r" if data.endswith(b"\r") and not at_end else b""
        if self._held:
            data = data[:-1]
        try:
            check_line_endings(data)
        except BadLineEnding:
            self.failure = replies.BAD_CHUNK_LINE
            return b""
        self._tail = (self._tail + data)[-2:] if len(data) < 2 else data[-2:]
        if at_end and self._tail != b"\r\n":
            data += b"\r\n"  # as DATA would have it (RFC 5321 §4.1.1.4)
        self.size += len(data)
        return data


AnyReception: TypeAlias = Reception | ChunkedReception


def _must_be_negative(reply: Reply) -> None:
    if reply.positive:
        raise SmtpError(f"a message cannot fail with {reply}")
