"""The spool of one node: an SQLite file with its write-ahead log, one committer a process."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from mxfleet.mxd.spool import claims, looking, operator, queries
from mxfleet.mxd.spool.committer import Committer
from mxfleet.mxd.spool.inserts import accepted
from mxfleet.mxd.spool.protocol import (
    Candidate,
    Changed,
    Envelope,
    Lease,
    Notice,
    QueueItem,
    QueueSummary,
    Result,
    Selection,
    Staged,
)
from mxfleet.mxd.spool.results import Record
from mxfleet.mxd.spool.schema import connect, connect_reader, create
from mxfleet.mxd.spool.work import translate

Value = TypeVar("Value")


def _nobody() -> None:
    return None


def prepare(path: Path) -> None:
    """Before any process opens it: make the file, check its version, forget what a dead life half received."""
    create(path)
    with closing(connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        queries.sweep(connection, float("inf"))
        connection.execute("COMMIT")


class SqliteSpool:
    """Implements `protocol.Spool`; to be made inside a running loop, after any fork.

    `committed` is called, in whatever thread, after each durable commit that accepted mail, to wake the courier.
    """

    def __init__(self, path: Path, committed: Callable[[], None] = _nobody) -> None:
        create(path)
        self._path = path
        self._committer = Committer(path, committed)
        self._readers = _Readers(path, "reader")
        self._lookers = _Readers(path, "looker")  # an operator's look may take its time

    def accept(
        self,
        envelope: Envelope,
        recipients: Sequence[str],
        head: bytes,
        body: bytes,
        staged: Staged | None = None,
    ) -> asyncio.Future[None]:
        """See Spool."""
        return self._committer.accept(accepted(envelope, recipients, head, body, staged))

    def stage(self, staged: Staged | None, chunk: bytes) -> asyncio.Future[Staged]:
        """See Spool; the chunk need not be on disk before the message's own commit, which syncs all of the log."""
        now = time.time()
        return self._committer.submit(
            lambda c: queries.stage(c, staged, chunk, now), durable=False, octets=len(chunk)
        )

    def discard(self, staged: Staged) -> asyncio.Future[None]:
        """See Spool."""
        return self._committer.submit(lambda c: queries.discard(c, staged.message), durable=False)

    def sweep(self, before: float) -> asyncio.Future[int]:
        """See Spool."""
        return self._committer.submit(lambda c: queries.sweep(c, before), durable=False, slow=True)

    def due(
        self,
        now: float,
        limit: int,
        avoid: Collection[str] = (),
        each: int = 1_000_000,
        spare: Collection[str] = (),
    ) -> asyncio.Future[tuple[Candidate, ...]]:
        """See Spool."""
        wish = claims.Wish(now, limit, frozenset(avoid), each, frozenset(spare))
        return self._read(lambda c: claims.due(c, wish))

    def lease(
        self, owner: str, now: float, seconds: float, candidates: Sequence[Candidate]
    ) -> asyncio.Future[tuple[Lease, ...]]:
        """See Spool; not synced: a power cut that forgets a lease has ended its holder too."""
        return self._committer.submit(
            lambda c: claims.lease(c, owner, now, now + seconds, candidates), durable=False
        )

    def claim(
        self,
        owner: str,
        now: float,
        seconds: float,
        limit: int,
        avoid: Collection[str] = (),
        each: int = 1_000_000,
    ) -> asyncio.Future[tuple[Lease, ...]]:
        """See Spool."""
        wish = claims.Wish(now, limit, frozenset(avoid), each)
        return self._committer.submit(
            lambda c: claims.lease(c, owner, now, now + seconds, claims.due(c, wish)),
            durable=False,
            slow=True,
        )

    def chunk(self, message: int, number: int) -> asyncio.Future[bytes]:
        """See Spool."""
        return self._read(lambda c: queries.chunk(c, message, number))

    def extend(self, leases: Collection[Lease], now: float, seconds: float) -> asyncio.Future[frozenset[int]]:
        """See Spool."""
        pairs = [(lease.delivery, lease.token) for lease in leases]
        return self._committer.submit(lambda c: queries.extend(c, pairs, now + seconds), durable=False)

    def record(
        self,
        lease: Lease,
        results: Sequence[Result],
        due: float,
        notice: Notice | None = None,
        *,
        warned: bool = False,
    ) -> asyncio.Future[bool]:
        """See Spool."""
        return self._committer.record(Record(lease, results, due, notice, warned))

    def put_back(self, lease: Lease, due: float) -> asyncio.Future[bool]:
        """See Spool."""
        return self._committer.submit(lambda c: queries.put_back(c, lease, due), durable=False)

    def release(self, owner: str, now: float) -> asyncio.Future[int]:
        """See Spool."""
        return self._committer.submit(lambda c: queries.release(c, owner, now), slow=True)

    def requeue(self, now: float, selection: Selection) -> asyncio.Future[Changed]:
        """See Spool."""
        return self._committer.submit(lambda c: operator.requeue(c, now, selection), slow=True)

    def hold(self, selection: Selection) -> asyncio.Future[Changed]:
        """See Spool."""
        return self._committer.submit(lambda c: operator.hold(c, selection), slow=True)

    def let_go(self, now: float, selection: Selection) -> asyncio.Future[Changed]:
        """See Spool."""
        return self._committer.submit(lambda c: operator.let_go(c, now, selection), slow=True)

    def delete(self, selection: Selection) -> asyncio.Future[Changed]:
        """See Spool."""
        return self._committer.submit(lambda c: operator.delete(c, selection), slow=True)

    def reroute(self, now: float, selection: Selection, hop: str) -> asyncio.Future[Changed]:
        """See Spool."""
        return self._committer.submit(lambda c: operator.reroute(c, now, selection, hop), slow=True)

    def expire(self, now: float, selection: Selection) -> asyncio.Future[Changed]:
        """See Spool."""
        return self._committer.submit(lambda c: operator.expire(c, now, selection), slow=True)

    def next_due(self, avoid: Collection[str] = ()) -> asyncio.Future[float | None]:
        """See Spool."""
        return self._read(lambda c: looking.next_due(c, avoid))

    def waiting(self) -> asyncio.Future[int]:
        """See Spool."""
        return self._read(looking.waiting)

    def summary(self, now: float) -> asyncio.Future[QueueSummary]:
        """See Spool."""
        return self._read(lambda c: looking.summary(c, now), self._lookers)

    def items(
        self, now: float, limit: int, selection: Selection | None = None
    ) -> asyncio.Future[tuple[QueueItem, ...]]:
        """See Spool."""
        wanted = selection or Selection()
        return self._read(lambda c: looking.items(c, now, limit, wanted), self._lookers)

    def probe(self, now: float) -> asyncio.Future[None]:
        """See Spool."""
        process = os.getpid()
        return self._committer.submit(lambda c: _probe(c, process, now))

    def close(self) -> None:
        """See Spool."""
        self._committer.close()
        self._readers.close()
        self._lookers.close()

    def _read(
        self, query: Callable[[sqlite3.Connection], Value], readers: "_Readers | None" = None
    ) -> asyncio.Future[Value]:
        """Run a query beside the writer, which it neither waits for nor delays."""
        return (readers or self._readers).run(query)


class _Readers:
    """One thread that reads, with a connection of its own."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._connection: sqlite3.Connection | None = None

    def run(self, query: Callable[[sqlite3.Connection], Value]) -> asyncio.Future[Value]:
        def work() -> Value:
            if self._connection is None:
                self._connection = connect_reader(self._path)
            try:
                return query(self._connection)
            except sqlite3.Error as error:
                raise translate(error, self._path) from error

        return asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        self._thread.shutdown()
        if self._connection is not None:
            self._connection.close()


def _probe(connection: sqlite3.Connection, process: int, now: float) -> None:
    connection.execute("REPLACE INTO probe VALUES (?, ?)", (process % 64, now))
