"""How `mxd queue` and `mxd health` ask: the running service by its socket, else the spool itself, reading only."""

import socket
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from mxfleet.errors import ServiceError
from mxfleet.mxd.settings import Settings
from mxfleet.mxd.spool import looking
from mxfleet.mxd.spool.protocol import QueueItem, QueueSummary, Selection
from mxfleet.mxd.spool.schema import connect_reader

PATIENCE: Final = 60.0  # seconds for an answer


def ask(runtime: Path, request: Mapping[str, object]) -> object:
    """The service's answer, None if nobody is there; raises ServiceError for one that is an error."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(PATIENCE)
        try:
            channel.connect(str(runtime / "admin.sock"))
            channel.sendall(msgspec.json.encode(request) + b"\n")
            with channel.makefile("rb") as lines:
                line = lines.readline()
        except PermissionError as error:
            raise ServiceError(
                f"{runtime}/admin.sock: not yours to ask", hint="sudo, or the group mxd"
            ) from error
        except OSError:
            return None
    if not line:
        return None
    answer = msgspec.json.decode(line)
    if isinstance(answer, dict) and "error" in answer:
        raise ServiceError(str(answer["error"]))
    return answer


def summary(settings: Settings) -> QueueSummary:
    """The queue in numbers, from the service or, when it is down, from the file."""
    answer = ask(Path(settings.paths.runtime), {"verb": "summary"})
    if answer is not None:
        return msgspec.convert(answer, QueueSummary)
    with closing(connect_reader(Path(settings.paths.spool))) as connection:
        return looking.summary(connection, time.time())


def items(settings: Settings, selection: Selection, limit: int) -> tuple[QueueItem, ...]:
    """Waiting deliveries, from the service or, when it is down, from the file."""
    request = {"verb": "list", "selection": msgspec.to_builtins(selection), "limit": limit}
    answer = ask(Path(settings.paths.runtime), request)
    if answer is not None:
        return msgspec.convert(answer, tuple[QueueItem, ...])
    with closing(connect_reader(Path(settings.paths.spool))) as connection:
        return looking.items(connection, time.time(), limit, selection)
