"""What waits on a node that is off: its queue, read from its disk without changing it."""

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from mxfleet.lab import root
from mxfleet.lab.plan import Guest

SPOOL = "var/lib/mxd/spool.sqlite"
WAITING = (
    "SELECT count(*) FROM recipient JOIN delivery ON delivery.id = recipient.delivery"
    " JOIN message ON message.id = delivery.message WHERE message.begun IS NULL AND recipient.state = 'waiting'"
)


def waiting(guest: Guest) -> int | None:
    """The recipients whose mail the dead node has accepted and not yet delivered; None where it has no queue."""
    spool = root.directory(guest.name) / SPOOL
    return count(spool) if guest.role == "node" and spool.is_file() else None


def count(spool: Path) -> int | None:
    """The same for a spool file nobody has open; None where it cannot be read.

    A copy is opened: SQLite replays the log of a writer that died by writing, and the disk is the node's own.
    """
    with tempfile.TemporaryDirectory(prefix="mxfleet-") as work:
        copy = Path(work) / spool.name
        for suffix in ("", "-wal"):
            beside = spool.with_name(spool.name + suffix)
            if beside.exists():
                shutil.copyfile(beside, copy.with_name(copy.name + suffix))
        try:
            with closing(sqlite3.connect(copy)) as connection:
                row = connection.execute(WAITING).fetchone()
        except sqlite3.Error:
            return None
        return int(row[0])
