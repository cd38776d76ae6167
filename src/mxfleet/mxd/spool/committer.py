"""Commits for all sessions of a process: what arrives while the disk is busy shares the next transaction.

The loop itself writes a batch, which costs 30 µs a message; only the wait for the disk is a thread's. A thread that
executed the statements would have to win the interpreter's lock back after each of them from a loop that never rests:
measured, that cost both of them 300 µs a message.
"""

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from mxfleet.errors import SpoolError
from mxfleet.mxd.spool.inserts import Accepted, insert
from mxfleet.mxd.spool.log import Thread, WriteAheadLog
from mxfleet.mxd.spool.results import Record
from mxfleet.mxd.spool.schema import connect
from mxfleet.mxd.spool.turn import Turn
from mxfleet.mxd.spool.work import Job, Outcome, Recording, Work, do, resolve, translate

Value = TypeVar("Value")
BATCH = 256  # accepted messages in one transaction
BATCH_OCTETS = 4_194_304  # of bodies and pieces of them: the loop stands still while they are written
CROWD = 3  # messages in a batch by which the next may expect company
COMPANY = 40  # messages that are worth a commit: pages, system calls and sync cost as much as several of them
PATIENCE = 0.016  # seconds that the first of them waits for the others
LINGER = 0.005  # seconds that a result waits for others, so that they share pages, commit and sync


class Committer:
    """Runs work on the spool's only writing connection of this process, many pieces a transaction.

    One batch is under way at a time: wait for the turn, write, sync, tell. The turn ends before the sync, so that
    processes wait for the disk together, and one sync may serve several.
    """

    def __init__(self, path: Path, committed: Callable[[], None]) -> None:
        self._path = path
        self._committed = committed
        self._loop = asyncio.get_running_loop()
        self._accepts: deque[tuple[Accepted, asyncio.Future[None]]] = deque()
        self._jobs: deque[Work] = deque()
        self._lingering: asyncio.TimerHandle | None = None
        self._gathering: asyncio.TimerHandle | None = None
        self._busy = False  # a batch is under way
        self._accepted = False  # there is mail in it
        self._company = 0  # messages that had come together for the last batch
        self._closing = False
        self._connection = connect(path)
        self._turn = Turn(path)
        self.log = WriteAheadLog(path, self._connection)
        self._disk = Thread("committer", self._loop.call_soon_threadsafe)
        self._shortener = Thread("shortener", self._loop.call_soon_threadsafe)

    def accept(self, message: Accepted) -> asyncio.Future[None]:
        """Queue one message for the next batch; the future is done after its commit."""
        self._check_open()
        future: asyncio.Future[None] = self._loop.create_future()
        self._accepts.append((message, future))
        self._arrange()
        return future

    def submit(
        self,
        work: Callable[[sqlite3.Connection], Value],
        *,
        durable: bool = True,
        slow: bool = False,
        octets: int = 0,
    ) -> asyncio.Future[Value]:
        """Queue other work; `durable` false lets it share a commit that does not wait for the disk.

        `slow` work, whose statements may look at many rows, is done beside the loop; `octets` are those of a body
        that it writes.
        """
        self._check_open()
        future: asyncio.Future[Value] = self._loop.create_future()
        self._jobs.append(Job(work, durable, slow, octets, future))
        self._arrange()
        return future

    def record(self, result: Record) -> asyncio.Future[bool]:
        """Queue the result of an attempt, in its order among the other work; others may join it for a moment."""
        self._check_open()
        future: asyncio.Future[bool] = self._loop.create_future()
        self._jobs.append(Recording(result, future))
        if self._lingering is None:
            self._lingering = self._loop.call_later(LINGER, self._hurry)
        return future

    def _hurry(self) -> None:
        self._lingering = None
        self._arrange()

    def close(self) -> None:
        """Commit what is queued, then end the threads and let go of the file."""
        if self._closing:
            return
        self._closing = True
        for timer in (self._lingering, self._gathering):
            if timer is not None:
                timer.cancel()
        self._disk.close()
        while self._accepts or self._jobs:
            if not self._turn.mine:
                self._turn.take()
            resolve(self._durable(*self._written(*self._take())))
        self._shortener.close()  # only now: it may wait for the turn that we had
        self._turn.close()
        self.log.close()
        self._connection.close()

    def _check_open(self) -> None:
        if self._closing:
            raise SpoolError(f"{self._path}: the spool is closed")

    # ── a batch, step by step ───────────────────────────────────────────────────────────────────────────

    def _arrange(self) -> None:
        """Begin as soon as nothing is under way; where there was a crowd before, when another has gathered."""
        if self._busy or not (self._accepts or self._jobs):
            return
        if self._company < CROWD or self._jobs or len(self._accepts) >= min(self._company, COMPANY):
            self._start()
        elif self._gathering is None:
            self._gathering = self._loop.call_later(PATIENCE, self._start)

    def _start(self) -> None:
        """Begin when the loop has listened to everybody who has something to say just now."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        self._busy = True
        self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        if self._closing:
            return
        if self._turn.take_now():
            self._write(None)
        else:
            self._disk.do(self._turn.take, self._write)

    def _write(self, _: None) -> None:
        """It is our turn, and only now it is decided what goes into the batch, so that batches are full."""
        if self._closing:
            return
        accepts, jobs = self._take()
        if any(job.slow for job in jobs):
            self._disk.do(lambda: self._durable(*self._written(accepts, jobs)), self._tell)
            return
        outcomes, durable = self._written(accepts, jobs)
        if durable:
            self._disk.do(partial(self._durable, outcomes, durable), self._tell)
        else:
            self._tell(outcomes)

    def _tell(self, outcomes: list[Outcome]) -> None:
        resolve(outcomes)
        if self._accepted:
            self._committed()
        self._busy = False
        self._arrange()

    def _take(self) -> tuple[list[tuple[Accepted, asyncio.Future[None]]], list[Work]]:
        accepts: list[tuple[Accepted, asyncio.Future[None]]] = []
        octets = 0
        while self._accepts and len(accepts) < BATCH and octets < BATCH_OCTETS:
            message, future = self._accepts.popleft()
            accepts.append((message, future))
            octets += len(message.body)
        jobs: list[Work] = []
        while self._jobs and octets < BATCH_OCTETS:
            jobs.append(self._jobs.popleft())
            octets += jobs[-1].octets
        self._accepted, self._company = bool(accepts), len(accepts)
        return accepts, jobs

    def _written(
        self, accepts: list[tuple[Accepted, asyncio.Future[None]]], jobs: list[Work]
    ) -> tuple[list[Outcome], bool]:
        """Write the batch and give the turn away; with it whether somebody waits for the disk."""
        try:
            outcomes = self._transaction(accepts, jobs)
        finally:
            self._turn.give()
        octets = 2 * sum(len(message.body) + len(message.head) for message, _ in accepts)
        octets += sum(job.octets for job in jobs)
        if self.log.grew(octets) and not self._closing:
            self.shorten()
        return outcomes, bool(accepts) or any(job.durable for job in jobs)

    def _durable(self, outcomes: list[Outcome], durable: bool) -> list[Outcome]:
        """After the sync; where it fails, nothing of the batch is promised to anybody, though it may be there."""
        if durable:
            try:
                self.log.sync()
            except OSError as error:
                trouble = SpoolError(
                    f"{self._path}: not on the disk: {error}", hint="dmesg: what the disk says"
                )
                return [(future, None, trouble) for future, _, _ in outcomes]
        return outcomes

    def shorten(self) -> None:
        """Have the log written into the database, in its turn and beside the loop."""
        self._shortener.do(self.log.shorten, _nothing)

    def _transaction(
        self, accepts: list[tuple[Accepted, asyncio.Future[None]]], jobs: list[Work]
    ) -> list[Outcome]:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            outcomes = do(connection, jobs)
            if accepts:
                insert(connection, [message for message, _ in accepts])
            connection.execute("COMMIT")
        except Exception as error:  # the batch must end: whatever it was is told to those who wait
            self._rollback()
            if len(accepts) + len(jobs) > 1:
                return self._one_by_one(accepts, jobs)
            trouble = translate(error, self._path)
            return [(f, None, trouble) for f in (*(j.future for j in jobs), *(f for _, f in accepts))]
        outcomes.extend((future, None, None) for _, future in accepts)
        return outcomes

    def _one_by_one(
        self, accepts: list[tuple[Accepted, asyncio.Future[None]]], jobs: list[Work]
    ) -> list[Outcome]:
        """After a failed batch: one bad piece must not take the others with it."""
        outcomes: list[Outcome] = []
        for job in jobs:
            outcomes.extend(self._transaction([], [job]))
        for accept in accepts:
            outcomes.extend(self._transaction([accept], []))
        return outcomes

    def _rollback(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _nothing(_: None) -> None:
    return None
