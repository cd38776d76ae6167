"""The spool of one node: an SQLite file, write-ahead log, one committer thread a process."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from mxfleet.mxd.spool import queries
from mxfleet.mxd.spool.committer import Committer, translate
from mxfleet.mxd.spool.inserts import accepted
from mxfleet.mxd.spool.protocol import (
    Envelope,
    Lease,
    Notice,
    QueueItem,
    QueueSummary,
    Result,
    Staged,
)
from mxfleet.mxd.spool.schema import connect, connect_reader, create

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

    `committed` is called in the committer's thread after each commit that accepted mail, to wake the courier.
    """

    def __init__(self, path: Path, committed: Callable[[], None] = _nobody) -> None:
        create(path)
        self._path = path
        self._committer = Committer(path, committed)
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._reader: sqlite3.Connection | None = None

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
        return self._committer.submit(lambda c: queries.stage(c, staged, chunk, now), durable=False)

    def discard(self, staged: Staged) -> asyncio.Future[None]:
        """See Spool."""
        return self._committer.submit(lambda c: queries.discard(c, staged.message), durable=False)

    def sweep(self, before: float) -> asyncio.Future[int]:
        """See Spool."""
        return self._committer.submit(lambda c: queries.sweep(c, before), durable=False)

    def claim(
        self,
        owner: str,
        now: float,
        seconds: float,
        limit: int,
        avoid: Collection[str] = (),
        each: int = 1_000_000,
    ) -> asyncio.Future[tuple[Lease, ...]]:
        """See Spool; not synced: a power cut that forgets a lease has ended its holder too."""
        wish = queries.Wish(owner, now, now + seconds, limit, frozenset(avoid), each)
        return self._committer.submit(lambda c: queries.claim(c, wish), durable=False)

    def chunk(self, message: int, number: int) -> asyncio.Future[bytes]:
        """See Spool."""
        return self._read(lambda c: queries.chunk(c, message, number))

    def extend(self, leases: Collection[Lease], now: float, seconds: float) -> asyncio.Future[frozenset[int]]:
        """See Spool."""
        pairs = [(lease.delivery, lease.token) for lease in leases]
        return self._committer.submit(lambda c: queries.extend(c, pairs, now + seconds), durable=False)

    def record(
        self, lease: Lease, results: Sequence[Result], due: float, notice: Notice | None = None
    ) -> asyncio.Future[bool]:
        """See Spool."""
        return self._committer.submit(lambda c: queries.record(c, lease, results, due, notice))

    def release(self, owner: str, now: float) -> asyncio.Future[int]:
        """See Spool."""
        return self._committer.submit(lambda c: queries.release(c, owner, now))

    def requeue(self, now: float, *, domain: str = "", trace: str = "") -> asyncio.Future[int]:
        """See Spool."""
        return self._committer.submit(lambda c: queries.requeue(c, now, domain, trace))

    def next_due(self, avoid: Collection[str] = ()) -> asyncio.Future[float | None]:
        """See Spool."""
        return self._read(lambda c: queries.next_due(c, avoid))

    def waiting(self) -> asyncio.Future[int]:
        """See Spool."""
        return self._read(queries.waiting)

    def summary(self, now: float) -> asyncio.Future[QueueSummary]:
        """See Spool."""
        return self._read(lambda c: queries.summary(c, now))

    def items(self, now: float, limit: int, domain: str = "") -> asyncio.Future[tuple[QueueItem, ...]]:
        """See Spool."""
        return self._read(lambda c: queries.items(c, now, limit, domain))

    def probe(self, now: float) -> asyncio.Future[None]:
        """See Spool."""
        process = os.getpid()
        return self._committer.submit(lambda c: _probe(c, process, now))

    def close(self) -> None:
        """See Spool."""
        self._committer.close()
        self._readers.shutdown()
        if self._reader is not None:
            self._reader.close()

    def _read(self, query: Callable[[sqlite3.Connection], Value]) -> asyncio.Future[Value]:
        """Run a query beside the writer, which it neither waits for nor delays."""

        def work() -> Value:
            if self._reader is None:
                self._reader = connect_reader(self._path)
            try:
                return query(self._reader)
            except sqlite3.Error as error:
                raise translate(error, self._path) from error

        return asyncio.get_running_loop().run_in_executor(self._readers, work)


def _probe(connection: sqlite3.Connection, process: int, now: float) -> None:
    connection.execute("REPLACE INTO probe VALUES (?, ?)", (process % 64, now))
