"""Octets in, command lines out: CRLF only, bounded, the same lines however the octets were cut."""

from typing import Final

from mxfleet.errors import SmtpError
from mxfleet.mail.smtp.data import BadLineEnding

MAX_SKIPPED: Final = 65_536  # of a line that is too long already; more is not a client but a flood


class LineTooLong(SmtpError):
    """A command line beyond the limit; its rest is skipped."""


class LineBuffer:
    """What was received and not yet taken."""

    __slots__ = ("_at", "_data", "_skipped", "waiting")

    def __init__(self) -> None:
        """Begin empty."""
        self.waiting = 0  # octets that were received and not yet taken
        self._data = b""
        self._at = 0
        self._skipped = -1  # octets of an overlong line that were thrown away; -1 where there is none

    def append(self, data: bytes) -> None:
        """Take octets from the connection."""
        self._data = self._data[self._at :] + data if self.waiting else data
        self._at = 0
        self.waiting = len(self._data)

    def take_all(self) -> bytes:
        """Everything that waits."""
        data = self._data[self._at :]
        self._data, self._at, self.waiting = b"", 0, 0
        return data

    def put_back(self, data: bytes) -> None:
        """Return what followed the end of a message."""
        self._data, self._at, self.waiting = data, 0, len(data)

    def starts_with(self, word: bytes) -> bool:
        """Whether the next line begins so, without case."""
        return self._data[self._at : self._at + len(word)].upper() == word

    def next_line(self, limit: int) -> bytes | None:
        """The next line without its CRLF, or None; `limit` counts the CRLF.

        Raises LineTooLong once for a longer line, and BadLineEnding for a bare CR or LF: what two hosts may
        take for one line or for two is not taken at all.
        """
        if self._skipped >= 0 and not self._skip():
            return None
        at = self._at
        end = self._data.find(b"\r\n", at, at + limit)
        line = self._data[at : end if end >= 0 else at + limit]
        if end < 0 and line.endswith(b"\r"):
            line = line[:-1]  # its LF may be still to come
        if b"\n" in line or b"\r" in line:
            raise BadLineEnding("bare CR or LF in a command")
        if end >= 0:
            self._at = end + 2
            self.waiting -= self._at - at
            return line
        if self.waiting >= limit:
            self._take(len(line))
            self._skipped = len(line)
            raise LineTooLong(f"command line longer than {limit} octets")
        return None

    def _skip(self) -> bool:
        """Throw the rest of an overlong line away; whether its end was reached."""
        end = self._data.find(b"\r\n", self._at)
        rest = self._data[self._at : end if end >= 0 else None]
        if end < 0 and rest.endswith(b"\r"):
            rest = rest[:-1]
        self._skipped += len(rest)
        if b"\n" in rest or b"\r" in rest or self._skipped > MAX_SKIPPED:
            raise BadLineEnding("bare CR or LF in a command, or no end to it")
        self._take(len(rest))
        if end >= 0:
            self._take(2)
            self._skipped = -1
        return end >= 0

    def _take(self, octets: int) -> None:
        self._at += octets
        self.waiting -= octets
