"""What greylisting remembers: an SQLite file beside the spool, which all workers share; bounded, and forgotten in time.

Its commits are not synced one by one: a power cut may forget the last seconds, and somebody waits once more.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final

from mxfleet.mxd.greylist import Entry, decide
from mxfleet.mxd.observe import Log
from mxfleet.mxd.receiving_settings import GreylistSettings

BUSY: Final = 2.0  # seconds that a worker waits for another
SWEEP: Final = 1000  # messages between two looks for what is too old or too much
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS entry (key BLOB PRIMARY KEY, first REAL NOT NULL, last REAL NOT NULL,"
    " known INTEGER NOT NULL) WITHOUT ROWID"
)


class Greylist:
    """Of one process; a file that cannot be used makes nobody wait, and the log says so once."""

    def __init__(self, path: Path, settings: GreylistSettings, clock: Callable[[], float], log: Log) -> None:
        """`clock` in seconds since 1970."""
        self.settings = settings
        self._path = path
        self._clock = clock
        self._log = log
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="greylist")
        self._connection: sqlite3.Connection | None = None
        self._until_sweep = 0
        self._broken = False

    async def wait(self, keys: Sequence[bytes]) -> float:
        """Seconds that a message of these keys has to wait, 0 for none; it is remembered that it came."""
        loop = asyncio.get_running_loop()
        try:
            seconds = await loop.run_in_executor(self._thread, self._look, keys, self._clock())
        except sqlite3.Error as error:
            if not self._broken:
                self._log.error("greylisting does not work, nobody waits", exception=error)
            self._broken = True
            return 0.0
        self._broken = False
        return seconds

    def close(self) -> None:
        """Let go of the file."""
        self._thread.shutdown()
        if self._connection is not None:
            self._connection.close()

    # ── in the thread ───────────────────────────────────────────────────────────────────────────────────

    def _look(self, keys: Sequence[bytes], now: float) -> float:
        connection = self._connection or self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            wait = max((self._one(connection, key, now) for key in keys), default=0.0)
            self._until_sweep -= 1
            if self._until_sweep <= 0:
                self._until_sweep = SWEEP
                self._sweep(connection, now)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return wait

    def _one(self, connection: sqlite3.Connection, key: bytes, now: float) -> float:
        with closing(
            connection.execute("SELECT first, last, known FROM entry WHERE key = ?", (key,))
        ) as rows:
            row = rows.fetchone()
        found = decide(Entry(row[0], row[1], bool(row[2])) if row else None, now, self.settings)
        entry = found.entry
        connection.execute(
            "REPLACE INTO entry VALUES (?, ?, ?, ?)", (key, entry.first, entry.last, entry.known)
        )
        return found.wait

    def _sweep(self, connection: sqlite3.Connection, now: float) -> None:
        settings = self.settings
        connection.execute(
            "DELETE FROM entry WHERE (known AND last < ?) OR (NOT known AND first < ?)",
            (now - settings.lifetime, now - settings.window),
        )
        (count,) = connection.execute("SELECT count(*) FROM entry").fetchone()
        if count > settings.most:  # those who are not known yet first
            connection.execute(
                "DELETE FROM entry WHERE key IN (SELECT key FROM entry ORDER BY known, last LIMIT ?)",
                (count - settings.most + SWEEP,),
            )

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(_TABLE)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection
