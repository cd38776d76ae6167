"""Whose turn it is to write: SQLite's own waiting sleeps and polls, a file lock wakes at once."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class Turn:
    """One claimant's handle on the lock that all writers of a spool, in whatever process, take in turn."""

    def __init__(self, path: Path) -> None:
        name = path.with_name(path.name + "-turn")
        self._file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self.mine = False

    def take(self) -> None:
        """Wait for it."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self.mine = True

    def take_now(self) -> bool:
        """Take it where nobody has it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.mine = True
        return True

    def give(self) -> None:
        """The next one's turn."""
        self.mine = False
        fcntl.flock(self._file, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """While it is ours."""
        self.take()
        try:
            yield
        finally:
            self.give()

    def close(self) -> None:
        """Let go of the file, and of the turn if it is ours."""
        os.close(self._file)
