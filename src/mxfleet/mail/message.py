"""A message's header section (RFC 5322 §2.2), cut fast and kept as octets; the body is never looked at here."""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Final, NamedTuple

from mxfleet.errors import MessageError

MAX_HEADER: Final = 262_144  # octets of the header section
# A field begins at a line's beginning with a name (RFC 5322 §2.2: printable, no colon) or it is a continuation.
_NAME = re.compile(rb"[!-9;-~]+(?=[ \t]*:)")


class Field(NamedTuple):
    """One header field: its octets as they came, folded, with their CRLF."""

    raw: bytes
    colon: int  # where the colon stands in `raw`

    @property
    def name(self) -> bytes:
        """The name in lower case."""
        return self.raw[: self.colon].rstrip(b" \t").lower()

    @property
    def body(self) -> bytes:
        """Everything behind the colon, CRLF included."""
        return self.raw[self.colon + 1 :]

    @property
    def text(self) -> str:
        """The body unfolded and stripped; octets that are not UTF-8 become U+FFFD."""
        return self.body.replace(b"\r\n", b"").strip(b" \t").decode("utf-8", "replace")


class Headers:
    """A header section: the fields in order, looked up by name without case."""

    def __init__(self, raw: bytes, fields: tuple[Field, ...]) -> None:
        """`raw` are the octets of the fields, without the empty line that follows them."""
        self.raw = raw
        self.fields = fields

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    @cached_property
    def by_name(self) -> dict[bytes, tuple[Field, ...]]:
        """The fields of each lower-case name, from top to bottom."""
        found: dict[bytes, list[Field]] = {}
        for field in self.fields:
            found.setdefault(field.name, []).append(field)
        return {name: tuple(fields) for name, fields in found.items()}

    def all(self, name: str) -> tuple[Field, ...]:
        """The fields of this name, from top to bottom."""
        return self.by_name.get(name.lower().encode("ascii"), ())

    def first(self, name: str) -> str | None:
        """The unfolded text of the topmost field of this name, None where there is none."""
        fields = self.all(name)
        return fields[0].text if fields else None

    def count(self, name: str) -> int:
        """How many fields have this name; `count("Received")` is the hop count (RFC 5321 §6.3)."""
        return len(self.all(name))


def parse_headers(raw: bytes) -> Headers:
    """Cut a header section (CRLF line endings, without the empty line) into fields.

    Raises MessageError where a line is neither a field nor a continuation: two programs would disagree where
    the body begins.
    """
    fields: list[Field] = []
    start = 0
    while start < len(raw):
        match = _NAME.match(raw, start)
        if match is None:
            raise MessageError(f"header line {raw[start : start + 40]!r}: neither a field nor a continuation")
        end = _end_of_field(raw, start)
        fields.append(Field(raw[start:end], raw.index(b":", match.end()) - start))
        start = end
    return Headers(raw, tuple(fields))


def needs_utf8(start: bytes) -> bool:
    """Whether a header section holds more than ASCII, so that its message needs SMTPUTF8 (RFC 6532 §3.2).

    `start` is the message, or so much of it as has the header section in it.
    """
    if start.isascii():
        return False
    end = start.find(b"\r\n\r\n")
    return not (start.startswith(b"\r\n") or (end >= 0 and start[:end].isascii()))


def split_message(message: bytes) -> tuple[Headers, bytes]:
    """A whole message's header section and body."""
    reader = HeaderReader()
    headers = reader.push(message)
    return (reader.finish(), b"") if headers is None else (headers, reader.rest)


class HeaderReader:
    """Takes a message in pieces until its header section is complete."""

    __slots__ = ("_data", "_limit", "rest")

    def __init__(self, limit: int = MAX_HEADER) -> None:
        """`limit` is the largest header section in octets."""
        self._data = b""
        self._limit = limit
        self.rest = b""  # of the body, what came in the piece that completed the header

    def push(self, piece: bytes) -> Headers | None:
        """Take a piece; the headers once the empty line was seen; MessageError for what is no header section.

        A message that begins with an empty line has no fields.
        """
        searched = max(0, len(self._data) - 3)
        self._data = self._data + piece if self._data else piece
        if self._data.startswith(b"\r\n"):
            self.rest = self._data[2:]
            return Headers(b"", ())
        end = self._data.find(b"\r\n\r\n", searched)
        if (len(self._data) if end < 0 else end) > self._limit:
            raise MessageError(f"header section larger than {self._limit} octets")
        if end < 0:
            return None
        self.rest = self._data[end + 4 :]
        return parse_headers(self._data[: end + 2])

    def finish(self) -> Headers:
        """The message ended without an empty line: it is all header."""
        return parse_headers(self._data)


def _end_of_field(raw: bytes, start: int) -> int:
    end = start
    while True:
        end = raw.find(b"\r\n", end) + 2
        if end < 2:
            raise MessageError("header section does not end in CRLF")
        if raw[end : end + 1] not in (b" ", b"\t"):
            return end
