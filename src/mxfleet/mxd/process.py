"""What a forked process does: put its parts together, run until told to stop, leave the spool in order."""

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from mxfleet.errors import MxfleetError
from mxfleet.mxd import configuration as files
from mxfleet.mxd.courier import Courier
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.health import Health
from mxfleet.mxd.observe import logger
from mxfleet.mxd.spool.sqlite import SqliteSpool
from mxfleet.mxd.supervisor import COURIER, Inheritance
from mxfleet.mxd.worker import Worker

COLLECT: Final = (10_000, 20, 20)  # few cycles are made here; looking for them took 4 % of the time
Run = Callable[[asyncio.Event, asyncio.Event], Awaitable[None]]


def main(number: int, inheritance: Inheritance) -> int:
    """The whole life of process `number`; its exit code."""
    gc.set_threshold(*COLLECT)
    return asyncio.run(_main(number, inheritance))


async def _main(number: int, inheritance: Inheritance) -> int:
    configuration = inheritance.configuration
    log = logger("courier" if number == COURIER else f"worker {number}")
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: log.error(str(context["message"]), exception=context.get("exception"))
    )
    log.sheet.gather(asyncio.get_running_loop().call_soon)
    spool = SqliteSpool(Path(configuration.settings.paths.spool), lambda: _wake(inheritance.wake[1]))
    shares = None if number == COURIER else inheritance.shares.of(number - 1)  # it lets nobody in
    desk = Desk(configuration, spool, number, inheritance.shared.row(number), log, shares)
    health = Health(desk, inheritance.shared)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _take_in, desk, inheritance)
    try:
        if number == COURIER:
            await _until_told(Courier(desk, health, inheritance.wake[0]).run, inheritance)
        else:
            await _until_told(Worker(desk, inheritance.sockets, health).run, inheritance)
    except Exception as error:  # the parent starts another; the log must say why
        log.error("process failed", exception=error)
        return 1
    finally:
        desk.closing = True
        await desk.close()
        spool.close()
        log.sheet.at_once()
    return 0


async def _until_told(run: Run, inheritance: Inheritance) -> None:
    """Run until SIGTERM, or until the parent is gone."""
    stop, ready = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_reader(inheritance.alive[0], _parent_gone, stop, loop, inheritance.alive[0])
    announcing = loop.create_task(_announce(ready, inheritance.ready[1]))
    try:
        await run(stop, ready)
    finally:
        announcing.cancel()


def _take_in(desk: Desk, inheritance: Inheritance) -> None:
    """The parent has found that certificates or DKIM keys changed, and nothing else."""
    try:
        desk.take_in(files.load(inheritance.settings))
    except MxfleetError as error:  # the files changed once more; the parent waits in vain and says so
        desk.log.error("not reloaded", reason=str(error))
        return
    _tell(inheritance.ready[1])


async def _announce(ready: asyncio.Event, pipe: int) -> None:
    await ready.wait()
    _tell(pipe)


def _tell(pipe: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.write(pipe, b".")


def _parent_gone(stop: asyncio.Event, loop: asyncio.AbstractEventLoop, pipe: int) -> None:
    loop.remove_reader(pipe)
    stop.set()


def _wake(pipe: int) -> None:
    with contextlib.suppress(BlockingIOError):  # a full pipe has woken it already
        os.write(pipe, b".")
