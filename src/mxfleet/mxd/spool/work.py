"""Pieces of work for the committer, and what becomes of them."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

from mxfleet.errors import SpoolError
from mxfleet.mxd.spool.protocol import SpoolFull
from mxfleet.mxd.spool.results import Record, record


class Job:
    """A piece of work with its own savepoint: its failure undoes only itself."""

    __slots__ = ("durable", "future", "octets", "slow", "work")

    def __init__(
        self,
        work: Callable[[sqlite3.Connection], Any],
        durable: bool,
        slow: bool,
        octets: int,
        future: asyncio.Future[Any],
    ) -> None:
        self.work = work
        self.durable = durable
        self.slow = slow
        self.octets = octets  # that it writes, where they are many
        self.future = future

    def run(self, connection: sqlite3.Connection) -> tuple[Any, BaseException | None]:
        """Do it; what it returned, or the SpoolError by which it refused."""
        connection.execute("SAVEPOINT job")
        try:
            value = self.work(connection)
        except SpoolError as error:
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
            return None, error
        connection.execute("RELEASE job")
        return value, None


class Recording:
    """The result of an attempt: written together with its neighbours, for nothing in it is refused."""

    __slots__ = ("durable", "future", "octets", "record", "slow")

    def __init__(self, result: Record, future: asyncio.Future[bool]) -> None:
        self.record = result
        self.durable = True
        self.slow = False
        self.octets = 0
        self.future = future


Work: TypeAlias = Job | Recording
Outcome: TypeAlias = tuple[asyncio.Future[Any], Any, BaseException | None]


def do(connection: sqlite3.Connection, jobs: Sequence[Work]) -> list[Outcome]:
    """In their order; results that follow one another at once."""
    outcomes: list[Outcome] = []
    for kind, group in groupby(jobs, type):
        if kind is Recording:
            results = [job for job in group if isinstance(job, Recording)]
            kept = record(connection, [job.record for job in results])
            outcomes += [(job.future, yes, None) for job, yes in zip(results, kept, strict=True)]
        else:
            outcomes += [(job.future, *job.run(connection)) for job in group if isinstance(job, Job)]
    return outcomes


def resolve(outcomes: list[Outcome]) -> None:
    """Tell those who wait."""
    for future, value, error in outcomes:
        if future.done():  # its session has gone; the commit stands
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)


def _is_full(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL,)


def translate(error: BaseException, path: Path) -> SpoolError:
    """Our own error for what SQLite says; a full disk and a full quota are SpoolFull."""
    if isinstance(error, SpoolError):
        return error
    if _is_full(error):
        return SpoolFull(f"{path}: no room left: {error}", hint=f"df {path.parent}")
    return SpoolError(f"{path}: {error}")
