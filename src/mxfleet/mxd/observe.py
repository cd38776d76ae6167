"""The service's log: one JSON object a line on stderr, which is the journal; no secret is ever an argument.

Every line about a message has its `trace`; `journalctl -u mxd -o cat | grep TRACE` is the life of a message.
"""

import logging
import sys
import time
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec
import structlog

Log = structlog.typing.FilteringBoundLogger
_encoder = msgspec.json.Encoder(enc_hook=str)
_HIDDEN: Final = frozenset({"password", "secret", "hash", "credentials", "key"})


def logger(process: str) -> Log:
    """The log of one process of the service."""
    log: Log = structlog.wrap_logger(
        structlog.BytesLogger(sys.stderr.buffer),
        processors=[_complete, _encode],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
        context_class=dict,
    ).bind(process=process)
    return log


def _complete(_: object, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["level"] = level
    now = time.time()
    event["time"] = f"{_second(int(now))}.{int(now % 1 * 1000):03d}+00:00"
    for name in _HIDDEN & event.keys():  # belt and braces: nobody passes these
        event[name] = "(hidden)"
    error = event.pop("exception", None)
    if isinstance(error, BaseException):
        event["error"] = f"{type(error).__name__}: {error}"
        event["where"] = _where(error)
    return event


@lru_cache(maxsize=4)  # many lines a second begin alike
def _second(now: int) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _where(error: BaseException) -> str:
    """The innermost lines, for a mistake of ours; values are not shown, for they may be a user's."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))


def _encode(_: object, __: str, event: MutableMapping[str, Any]) -> bytes:
    return _encoder.encode(event)
