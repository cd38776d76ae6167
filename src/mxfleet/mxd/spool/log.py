"""The write-ahead log of an SQLite spool as a file: made durable by us, and written into the database in time.

SQLite would do both within COMMIT, and whoever commits would hold up everybody else meanwhile. Here COMMIT only
writes (`synchronous = NORMAL`, `wal_autocheckpoint = 0`; it syncs the log's header where the log begins again); the sync
that a 250 promises comes after it, in a thread.
"""

import contextlib
import errno
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from mxfleet.mxd.spool.schema import LOG, connect, sync_directory
from mxfleet.mxd.spool.turn import Turn

SHARE = LOG  # octets that this process may have written before it shortens the log; others do as well
OVERHEAD: Final = 65_536  # octets of the pages that any transaction touches, about


class WriteAheadLog:
    """The log of one spool; `connection` must be open as long as this, for the last one to close removes the file."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # opens it
        self._path = path
        # A descriptor of our own: SQLite's locks are on other files, so closing this one lets go of none.
        self._file = os.open(path.with_name(path.name + "-wal"), os.O_RDONLY | os.O_CLOEXEC)
        sync_directory(path.parent)  # as SQLite does with its first sync
        # Who turns SQLite's own syncs off (a test, to see that it fails) shall not get ours.
        self._syncs = connection.execute("PRAGMA synchronous").fetchone()[0] != 0
        self._written = 0
        self._doubtful = False  # a sync has failed

    def sync(self) -> None:
        """Return when every transaction that has been committed so far is on the disk; raises OSError.

        After a failure the kernel takes the pages for written, and says so to whoever asks next. What is behind them in
        the log is worth nothing, for its checksums are chained: so nothing counts until the log was begun anew.
        """
        if not self._syncs:
            return
        if self._doubtful:
            self._begin_anew()
            self._doubtful = False
        try:
            os.fdatasync(self._file)
        except OSError:
            self._doubtful = True
            raise

    def _begin_anew(self) -> None:
        """Have all of the log written into the database, and that synced; raises OSError where it cannot be."""
        try:
            busy = self._checkpoint("TRUNCATE")
        except sqlite3.Error as error:
            raise OSError(
                errno.EIO, f"after a failed sync the log cannot be written anew: {error}"
            ) from error
        if busy:
            raise OSError(
                errno.EBUSY, "after a failed sync the log cannot be written anew, somebody reads it"
            )

    def grew(self, octets: int) -> bool:
        """Whether it is time to `shorten`, with a transaction of so many octets more."""
        self._written += octets + OVERHEAD
        if self._written < SHARE:
            return False
        self._written = 0
        return True

    def shorten(self) -> None:
        """Write the log into the database while nobody else writes.

        Never beside a writer: until 3.51.3 SQLite may lose what is committed while another connection's checkpoint
        begins (sqlite.org/wal.html, "The WAL-Reset Bug"), and Debian 13 has 3.46.
        """
        # Where that fails, the log goes on growing, and whoever writes or syncs next is told what is wrong.
        with contextlib.suppress(sqlite3.Error, OSError):
            self._checkpoint("PASSIVE")

    def _checkpoint(self, how: str) -> int:
        with (
            contextlib.closing(connect(self._path)) as connection,
            contextlib.closing(Turn(self._path)) as turn,
            turn.taken(),
        ):
            busy: int = connection.execute(f"PRAGMA wal_checkpoint({how})").fetchone()[0]
        return busy

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


class Thread:
    """A thread that does one thing after the other and tells the loop of each."""

    def __init__(self, name: str, tell: Callable[..., object]) -> None:
        """`tell` is the loop's `call_soon_threadsafe`."""
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], Callable[[Any], None]] | None] = (
            queue.SimpleQueue()
        )
        self._tell = tell
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do `work`, which must not raise, then have the loop call `then` with what it returned."""
        self._work.put((work, then))

    def close(self) -> None:
        """Finish what was given, then end."""
        self._work.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            work, then = item
            value = work()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                self._tell(then, value)
