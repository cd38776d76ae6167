"""The operator's door on the node: a Unix socket, one JSON object a line each way, for root and the group mxd."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from mxfleet.errors import MxfleetError
from mxfleet.mxd.counters import COUNTERS, GAUGES
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.health import Health
from mxfleet.mxd.key_report import loaded_certificates, loaded_keys
from mxfleet.mxd.route import given
from mxfleet.mxd.spool.protocol import Selection

MAX_LINE: Final = 65_536


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be asked: `health`, `summary`, `list`, `stats`, `signing`, `certificates`, and what changes the queue.

    The latter are `retry`, `hold`, `release`, `delete`, `reroute` (to `hop`) and `expire`, for a selection.
    """

    verb: str
    selection: Selection = Selection()
    limit: int = 1000
    hop: str = ""


class Admin:
    """Answers on `runtime/admin.sock`."""

    def __init__(self, desk: Desk, health: Health, look: Callable[[], None]) -> None:
        """`look` wakes the courier after something was made due."""
        self._desk = desk
        self._health = health
        self._look = look
        self._server: asyncio.Server | None = None
        self._path = Path(desk.settings.paths.runtime) / "admin.sock"

    async def open(self) -> None:
        """Listen; whoever may write to the socket may ask."""
        self._path.unlink(missing_ok=True)
        before = os.umask(0o117)  # 0660 from the first moment
        try:
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=MAX_LINE)
        finally:
            os.umask(before)

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
                await writer.drain()
        writer.close()

    async def _answer(self, line: bytes) -> object:
        try:
            request = msgspec.json.decode(line, type=Request)
            return await self._run(request)
        except msgspec.MsgspecError as error:
            return {"error": f"not a request: {error}"}
        except MxfleetError as error:
            return {"error": str(error)}

    async def _run(self, request: Request) -> object:
        spool, now = self._desk.spool, time.time()
        match request.verb:
            case "health":
                return await self._health.report()
            case "summary":
                return await spool.summary(now)
            case "list":
                return await spool.items(now, request.limit, request.selection)
            case "signing":
                return loaded_keys(self._desk.configuration.keys.values())
            case "certificates":
                return loaded_certificates(self._desk.configuration.certificates)
            case "stats":
                return {name: self._health.total(name) for name in (*COUNTERS, *GAUGES)}
            case _:
                return await self._change(request, now)

    async def _change(self, request: Request, now: float) -> object:
        """The verbs that change the queue; each says how much, and the log keeps who did what."""
        spool, selection = self._desk.spool, request.selection
        match request.verb:
            case "retry":
                changed = await spool.requeue(now, selection)
            case "hold":
                changed = await spool.hold(selection)
            case "release":
                changed = await spool.let_go(now, selection)
            case "delete":
                changed = await spool.delete(selection)
            case "reroute":
                if request.hop:
                    given(request.hop)
                changed = await spool.reroute(now, selection, request.hop)
            case "expire":
                changed = await spool.expire(now, selection)
            case _:
                return {"error": f"no such verb: {request.verb}"}
        said = msgspec.structs.asdict(selection)
        self._desk.log.info(
            f"queue {request.verb}", hop=request.hop, **said, **msgspec.structs.asdict(changed)
        )
        self._look()
        return changed
