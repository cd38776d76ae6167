"""SMTP replies (RFC 5321 §4.2) as values: rendering for the server, parsing for the client."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mxfleet.errors import SmtpError

MAX_REPLY_LINE: Final = 512  # RFC 5321 §4.5.3.1.5, with code and CRLF
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?: |$)")  # RFC 3463 §2
_UNPRINTABLE = re.compile(r"[^ -~]")
_REPLY_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: three-digit code, enhanced status code (RFC 3463; "" where none belongs), text.

    Line feeds in the text separate the lines of a multi-line reply.
    """

    code: int
    enhanced: str
    text: str

    def __post_init__(self) -> None:
        """Refuse codes that contradict each other (RFC 2034 §4)."""
        if not 200 <= self.code <= 599:
            raise SmtpError(f"reply code {self.code}: not between 200 and 599")
        if self.enhanced and ord(self.enhanced[0]) - 48 != self.code // 100:
            raise SmtpError(f"reply {self.code} {self.enhanced}: the classes differ")

    def __str__(self) -> str:
        """On one line, as it belongs in a log."""
        words = " ".join(self.text.split())
        return " ".join(part for part in (str(self.code), self.enhanced, words) if part)

    @property
    def positive(self) -> bool:
        """Completion (2yz) or intermediate (3yz)."""
        return self.code < 400

    @property
    def temporary(self) -> bool:
        """Transient negative, 4yz."""
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        """Permanent negative, 5yz."""
        return self.code >= 500

    def render(self, *, utf8: bool = False) -> bytes:
        """The octets on the wire; whatever the text holds, only this one reply comes out.

        `utf8`: the client has said that it takes UTF-8 in replies (RFC 6531 §3.7.4); else it gets ASCII.
        """
        prefix = f"{self.enhanced} " if self.enhanced else ""
        text = self.text
        if text.isascii() and text.isprintable() and len(text) < 480:
            return f"{self.code} {prefix}{text}\r\n".encode("ascii")
        return self._render_lines(prefix, _printable_utf8 if utf8 else printable)

    def _render_lines(self, prefix: str, clean: Callable[[str], str]) -> bytes:
        room = MAX_REPLY_LINE - len(f"250-{prefix}\r\n")
        lines = [_cut(clean(line), room) for line in self.text.splitlines()] or [b""]
        marks = ["-"] * (len(lines) - 1) + [" "]
        pairs = zip(marks, lines, strict=True)
        return b"".join(f"{self.code}{mark}{prefix}".encode("ascii") + line + b"\r\n" for mark, line in pairs)


def printable(text: str) -> str:
    """The text with everything but printable ASCII replaced by `?`: safe in a line of any protocol or log."""
    return _UNPRINTABLE.sub("?", text)


def _printable_utf8(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _cut(text: str, room: int) -> bytes:
    """At most so many octets, and no half character at their end."""
    octets = text.encode("utf-8")
    return octets if len(octets) <= room else octets[:room].decode("utf-8", "ignore").encode("utf-8")


class ReplyParser:
    """Cuts a server's octets into replies; feed it, then take replies until there is none.

    Lengths are bounded, codes must agree over the lines of a reply, and the text is made printable, so that
    nothing a remote host says can break a log line, a DSN or our own reply (RFC 5321 §4.2.1).
    """

    def __init__(self, *, max_line: int = 4096, max_lines: int = 256) -> None:
        """Limits are in octets and lines; generous beside RFC 5321 §4.5.3.1.5, but limits."""
        self._max_line = max_line
        self._max_lines = max_lines
        self._buffer = b""
        self._lines: list[str] = []
        self._code = 0

    @property
    def pending(self) -> bool:
        """Whether octets wait that do not yet make a reply, or that nobody asked for."""
        return bool(self._buffer or self._lines)

    def feed(self, data: bytes) -> None:
        """Take octets from the connection."""
        self._buffer += data

    def next_reply(self) -> Reply | None:
        """The next complete reply, or None; SmtpError where the server does not speak SMTP."""
        while (end := self._buffer.find(b"\n")) >= 0:
            line, self._buffer = self._buffer[:end].removesuffix(b"\r"), self._buffer[end + 1 :]
            if (reply := self._take(line)) is not None:
                return reply
        if len(self._buffer) > self._max_line:
            raise SmtpError(f"reply line longer than {self._max_line} octets")
        return None

    def _take(self, line: bytes) -> Reply | None:
        match = _REPLY_LINE.fullmatch(line)
        if match is None or len(line) > self._max_line:
            raise SmtpError(f"not an SMTP reply: {printable(line[:80].decode('latin-1'))!r}")
        code = int(match[1])
        if self._lines and code != self._code:
            raise SmtpError(f"reply changes its code from {self._code} to {code}")
        self._code = code
        self._lines.append(printable((match[3] or b"").decode("latin-1")))
        if len(self._lines) > self._max_lines:
            raise SmtpError(f"reply of more than {self._max_lines} lines")
        if match[2] == b"-":
            return None
        lines, self._lines = self._lines, []
        return _assemble(code, lines)


def _assemble(code: int, lines: list[str]) -> Reply:
    match = _ENHANCED.match(lines[0])
    if match is None or int(match[1][0]) != code // 100:
        return Reply(code, "", "\n".join(lines))
    enhanced = match[1]
    # RFC 2034 §4: the enhanced code stands on each line of a reply.
    bare = [line.removeprefix(enhanced).removeprefix(" ") for line in lines]
    return Reply(code, enhanced, "\n".join(bare))
