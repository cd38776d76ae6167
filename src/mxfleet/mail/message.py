"""A message's header section (RFC 5322 §2.2), cut fast and kept as octets; the body is never looked at here."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from mxfleet.errors import MessageError

MAX_HEADER: Final = 262_144  # octets of the header section
# A line that is no continuation, and what begins it if it is a field: a name (RFC 5322 §2.2: printable, no colon)
# with its colon, then the name alone.
_LINE = re.compile(rb"\r\n(?![ \t])(?:(([!-9;-~]++)[ \t]*+:))?")


class Field(msgspec.Struct, frozen=True, gc=False):
    """One header field: its octets as they came, folded, without the CRLF at its end."""

    name: bytes  # in lower case
    label: bytes  # the name as it was written, blanks and the colon behind it
    body: bytes  # everything behind the colon

    @property
    def raw(self) -> bytes:
        """The whole field with the CRLF at its end."""
        return self.label + self.body + b"\r\n"

    @property
    def text(self) -> str:
        """The body unfolded and stripped; octets that are not UTF-8 become U+FFFD."""
        unfolded = b"".join(self.body.split(b"\r\n"))  # a third faster than to replace
        return unfolded.strip(b" \t").decode("utf-8", "replace")


class Headers:
    """A header section: the fields in order, looked up by name without case."""

    __slots__ = ("by_name", "fields", "raw")

    def __init__(self, raw: bytes, fields: tuple[Field, ...]) -> None:
        """`raw` are the octets of the fields, without the empty line that follows them.

        `by_name` has the fields of each lower-case name, from top to bottom.
        """
        self.raw = raw
        self.fields = fields
        by_name: dict[bytes, list[Field]] = {}
        for field in fields:
            by_name.setdefault(field.name, []).append(field)
        self.by_name: Mapping[bytes, Sequence[Field]] = by_name

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def all(self, name: str) -> Sequence[Field]:
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
    # Of each line its label, its name, its body; at last of the one that would come next.
    first, *cut = _LINE.split(b"\r\n" + raw)
    labels, names, bodies = cut[0:-3:3], cut[1:-3:3], cut[2:-3:3]
    if first or None in labels or cut[-3:] != [None, None, b""]:
        raise _no_section(first, cut)
    return Headers(raw, tuple(map(Field, map(bytes.lower, names), labels, bodies)))


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

    __slots__ = ("_body", "_data", "_limit")

    def __init__(self, limit: int = MAX_HEADER) -> None:
        """`limit` is the largest header section in octets."""
        self._data = b""
        self._limit = limit
        self._body = -1  # where it begins in the data, once that is known

    @property
    def rest(self) -> bytes:
        """Of the body, what came in the piece that completed the header."""
        return self._data[self._body :] if self._body >= 0 else b""

    def push(self, piece: bytes) -> Headers | None:
        """Take a piece; the headers once the empty line was seen; MessageError for what is no header section.

        A message that begins with an empty line has no fields.
        """
        searched = max(0, len(self._data) - 3)
        self._data = self._data + piece if self._data else piece
        if self._data.startswith(b"\r\n"):
            self._body = 2
            return Headers(b"", ())
        end = self._data.find(b"\r\n\r\n", searched)
        if (len(self._data) if end < 0 else end) > self._limit:
            raise MessageError(f"header section larger than {self._limit} octets")
        if end < 0:
            return None
        self._body = end + 4
        return parse_headers(self._data[: end + 2])

    def finish(self) -> Headers:
        """The message ended without an empty line: it is all header."""
        return parse_headers(self._data)


def _no_section(first: bytes, cut: Sequence[bytes | None]) -> MessageError:
    lines = zip(cut[::3], cut[2::3], strict=True)
    line = first[2:] if first else next((body for label, body in lines if label is None), None)
    if line is None:
        return MessageError("header section does not end in CRLF")
    return MessageError(f"header line {line[:40]!r}: neither a field nor a continuation")
