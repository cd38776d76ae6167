"""One thread that commits for all sessions of a process: what arrives while a commit runs shares the next.

Processes take turns through a file lock: SQLite's own waiting sleeps and polls, a lock wakes at once.
"""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from mxfleet.errors import SpoolError
from mxfleet.mxd.spool.inserts import Accepted, insert
from mxfleet.mxd.spool.protocol import SpoolFull
from mxfleet.mxd.spool.results import Record, record
from mxfleet.mxd.spool.schema import connect

Value = TypeVar("Value")
BATCH = 256  # accepted messages in one transaction
BATCH_OCTETS = 16_777_216
LINGER = 0.005  # seconds that a result waits for others, so that they share pages, commit and sync


class Committer:
    """Runs work on the spool's only writing connection of this process, many pieces a transaction.

    A batch of accepted messages is written at once, in few statements, and so are results that follow one another:
    every statement gives up the interpreter lock and must win it back from a busy event loop (measured: 50 messages
    a second instead of 10,000).
    """

    def __init__(self, path: Path, committed: Callable[[], None]) -> None:
        self._path = path
        self._committed = committed
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition()
        self._accepts: deque[tuple[Accepted, asyncio.Future[None]]] = deque()
        self._jobs: deque[_Work] = deque()
        self._lingering: asyncio.TimerHandle | None = None
        self._closing = False
        self._durable = True
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._connection = connect(path)
        self._lock = os.open(
            path.with_name(path.name + "-turn"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640
        )
        self._thread.start()

    def accept(self, message: Accepted) -> asyncio.Future[None]:
        """Queue one message for the next batch; the future is done after its commit."""
        future: asyncio.Future[None] = self._loop.create_future()
        with self._wake:
            self._check_open()
            self._accepts.append((message, future))
            self._wake.notify()
        return future

    def submit(
        self, work: Callable[[sqlite3.Connection], Value], *, durable: bool = True
    ) -> asyncio.Future[Value]:
        """Queue other work; `durable` false lets it share a commit that does not wait for the disk."""
        future: asyncio.Future[Value] = self._loop.create_future()
        self._queue(_Job(work, durable, future))
        return future

    def record(self, result: Record) -> asyncio.Future[bool]:
        """Queue the result of an attempt, in its order among the other work; others may join it for a moment."""
        future: asyncio.Future[bool] = self._loop.create_future()
        with self._wake:
            self._check_open()
            self._jobs.append(_Recording(result, future))
        if self._lingering is None:
            self._lingering = self._loop.call_later(LINGER, self._hurry)
        return future

    def _hurry(self) -> None:
        self._lingering = None
        with self._wake:
            self._wake.notify()

    def _queue(self, work: "_Work") -> None:
        with self._wake:
            self._check_open()
            self._jobs.append(work)
            self._wake.notify()

    def close(self) -> None:
        """Commit what is queued, then end the thread and let go of the file."""
        with self._wake:
            if self._closing:
                return
            self._closing = True
            self._wake.notify()
        if self._lingering is not None:
            self._lingering.cancel()
        self._thread.join()
        self._connection.close()
        os.close(self._lock)

    def _check_open(self) -> None:
        if self._closing:
            raise SpoolError(f"{self._path}: the spool is closed")

    def _run(self) -> None:
        while True:
            with self._wake:
                while not (self._accepts or self._jobs or self._closing):
                    self._wake.wait()
                if self._closing and not (self._accepts or self._jobs):
                    return
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                accepts, jobs = self._take()
                done = self._transaction(accepts, jobs)
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._tell(done)

    def _take(self) -> tuple[list[tuple[Accepted, asyncio.Future[None]]], list["_Work"]]:
        """What goes into the next transaction; taken only when it is our turn, so that batches are full."""
        accepts: list[tuple[Accepted, asyncio.Future[None]]] = []
        octets = 0
        with self._wake:
            while self._accepts and len(accepts) < BATCH and octets < BATCH_OCTETS:
                message, future = self._accepts.popleft()
                accepts.append((message, future))
                octets += len(message.body)
            jobs = list(self._jobs)
            self._jobs.clear()
        return accepts, jobs

    def _transaction(
        self, accepts: list[tuple[Accepted, asyncio.Future[None]]], jobs: list["_Work"]
    ) -> list["_Outcome"]:
        connection = self._connection
        durable = bool(accepts) or any(job.durable for job in jobs)
        try:
            self._set_durable(durable)
            connection.execute("BEGIN IMMEDIATE")
            outcomes = _do(connection, jobs)
            if accepts:
                insert(connection, [message for message, _ in accepts])
            connection.execute("COMMIT")
        except Exception as error:  # the thread must live: whatever it was is told to those who wait
            self._rollback()
            if len(accepts) + len(jobs) > 1:
                return self._one_by_one(accepts, jobs)
            trouble = translate(error, self._path)
            return [(f, None, trouble) for f in (*(j.future for j in jobs), *(f for _, f in accepts))]
        outcomes.extend((future, None, None) for _, future in accepts)
        if accepts:
            self._committed()
        return outcomes

    def _set_durable(self, durable: bool) -> None:
        if durable is not self._durable:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable

    def _one_by_one(
        self, accepts: list[tuple[Accepted, asyncio.Future[None]]], jobs: list["_Work"]
    ) -> list["_Outcome"]:
        """After a failed batch: one bad piece must not take the others with it."""
        outcomes: list[_Outcome] = []
        for job in jobs:
            outcomes.extend(self._transaction([], [job]))
        for accept in accepts:
            outcomes.extend(self._transaction([accept], []))
        return outcomes

    def _rollback(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _tell(self, outcomes: list["_Outcome"]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(_resolve, outcomes)


class _Job:
    """A piece of work with its own savepoint: its failure undoes only itself."""

    __slots__ = ("durable", "future", "work")

    def __init__(
        self, work: Callable[[sqlite3.Connection], Any], durable: bool, future: asyncio.Future[Any]
    ) -> None:
        self.work = work
        self.durable = durable
        self.future = future

    def run(self, connection: sqlite3.Connection) -> tuple[Any, BaseException | None]:
        connection.execute("SAVEPOINT job")
        try:
            value = self.work(connection)
        except SpoolError as error:
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
            return None, error
        connection.execute("RELEASE job")
        return value, None


class _Recording:
    """The result of an attempt: written together with its neighbours, for nothing in it is refused."""

    __slots__ = ("durable", "future", "record")

    def __init__(self, result: Record, future: asyncio.Future[bool]) -> None:
        self.record = result
        self.durable = True
        self.future = future


_Work = _Job | _Recording
_Outcome = tuple[asyncio.Future[Any], Any, BaseException | None]


def _do(connection: sqlite3.Connection, jobs: Sequence[_Work]) -> list[_Outcome]:
    """In their order; results that follow one another at once."""
    outcomes: list[_Outcome] = []
    for kind, group in groupby(jobs, type):
        if kind is _Recording:
            results = [job for job in group if isinstance(job, _Recording)]
            kept = record(connection, [job.record for job in results])
            outcomes += [(job.future, yes, None) for job, yes in zip(results, kept, strict=True)]
        else:
            outcomes += [(job.future, *job.run(connection)) for job in group if isinstance(job, _Job)]
    return outcomes


def _resolve(outcomes: list[_Outcome]) -> None:
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
