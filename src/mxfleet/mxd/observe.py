"""The service's log: one JSON object a line on stderr, which is the journal; no secret is ever an argument.

Every line about a message has its `trace`; `journalctl -u mxd -o cat | grep TRACE` is the life of a message.
"""

import sys
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import BinaryIO, Final

import msgspec

_encoder = msgspec.json.Encoder(enc_hook=str)
_HIDDEN: Final = frozenset({"password", "secret", "hash", "credentials", "key"})


class Log:
    """Says events with their facts; an `exception` among these is told as what it says and where it was."""

    __slots__ = ("_facts", "_file")

    def __init__(self, file: BinaryIO, facts: Mapping[str, object]) -> None:
        """`facts` stand on every line."""
        self._file = file
        self._facts = facts

    def bind(self, **facts: object) -> "Log":
        """A log of which every line has these as well."""
        return Log(self._file, {**self._facts, **facts})

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
        self._file.write(_encoder.encode(line) + b"\n")  # in one piece, whichever threads write
        self._file.flush()


def logger(process: str) -> Log:
    """The log of one process of the service."""
    return Log(sys.stderr.buffer, {"process": process})


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
