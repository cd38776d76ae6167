"""The service's log: one JSON object a line on stderr, which is the journal; no secret is ever an argument.

Every line about a message has its `trace`; `journalctl -u mxd -o cat | grep TRACE` is the life of a message.
"""

import sys
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from threading import get_ident
from typing import BinaryIO, Final

import msgspec

_encoder = msgspec.json.Encoder(enc_hook=str)
_HIDDEN: Final = frozenset({"password", "secret", "hash", "credentials", "key"})


class Sheet:
    """Where lines are written: each at once, or in a process that has much to say those of a loop's turn together."""

    __slots__ = ("_file", "_lines", "_soon", "_thread")

    def __init__(self, file: BinaryIO) -> None:
        """Begins with each line at once."""
        self._file = file
        self._lines: list[bytes] = []
        self._soon: Callable[[Callable[[], None]], object] | None = None
        self._thread = 0

    def gather(self, soon: Callable[[Callable[[], None]], object]) -> None:
        """What this thread says leaves when `soon` (`loop.call_soon`) calls: a system call a line was 6 % of a relay."""
        self._soon, self._thread = soon, get_ident()

    def at_once(self) -> None:
        """Each line at once again, now that the loop ends."""
        self._soon = None
        self.empty()

    def put(self, line: bytes, *, waits: bool) -> None:
        """Write a line, in one piece whichever threads write; what `waits` may leave a moment later."""
        if self._soon is None or get_ident() != self._thread:
            self._write(line)
            return
        self._lines.append(line)
        if not waits:
            self.empty()
        elif len(self._lines) == 1:
            self._soon(self.empty)

    def empty(self) -> None:
        """Write what was gathered."""
        lines, self._lines = self._lines, []
        if lines:
            self._write(b"".join(lines))

    def _write(self, octets: bytes) -> None:
        self._file.write(octets)
        self._file.flush()


class Log:
    """Says events with their facts; an `exception` among these is told as what it says and where it was."""

    __slots__ = ("_facts", "sheet")

    def __init__(self, sheet: Sheet, facts: Mapping[str, object]) -> None:
        """`facts` stand on every line."""
        self.sheet = sheet
        self._facts = facts

    def bind(self, **facts: object) -> "Log":
        """A log of which every line has these as well."""
        return Log(self.sheet, {**self._facts, **facts})

    def info(self, event: str, /, **facts: object) -> None:
        """What happens all day."""
        self._say(event, "info", facts)

    def warning(self, event: str, /, **facts: object) -> None:
        """What somebody may want to look at."""
        self._say(event, "warning", facts)

    def error(self, event: str, /, **facts: object) -> None:
        """What should not happen."""
        self._say(event, "error", facts)

    def _say(self, event: str, level: str, facts: dict[str, object]) -> None:
        second, milliseconds = divmod(int(time.time() * 1000), 1000)
        line = {
            **self._facts,
            **facts,
            "event": event,
            "level": level,
            "time": f"{_second(second)}.{milliseconds:03d}+00:00",
        }
        if not line.keys().isdisjoint(_HIDDEN):  # belt and braces: nobody passes these
            line.update(dict.fromkeys(_HIDDEN & line.keys(), "(hidden)"))
        if "exception" in line:
            line.update(_told(line.pop("exception")))
        self.sheet.put(_encoder.encode(line) + b"\n", waits=level == "info")


def logger(process: str) -> Log:
    """The log of one process of the service."""
    return Log(Sheet(sys.stderr.buffer), {"process": process})


@lru_cache(maxsize=4)  # many lines a second begin alike
def _second(now: int) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _told(error: object) -> dict[str, str]:
    """What an exception says, and its innermost lines; values are not shown, for they may be a user's."""
    if not isinstance(error, BaseException):
        return {}
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    where = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
    return {"error": f"{type(error).__name__}: {error}", "where": where}
