"""The SQLite spool on disk: tables, schema version, opening with the durability that a 250 promises."""

import os
import sqlite3
import time
from pathlib import Path

from mxfleet.errors import SpoolError

VERSION = 3
APPLICATION = 0x6D786401  # "mxd\1" in the file header, so that file(1) and we know our own
BUSY = 10.0  # seconds that an opening or a statement waits for another process
PAGE = 8_192  # octets of a page in a new spool: half the system calls for a body; more would make small commits large
LOG = 16_777_216  # octets of the write-ahead log at which it is written into the file
CHUNKS = 65_536  # a chunk's row id is message * CHUNKS + number: one tree, no second index

TABLES = """
CREATE TABLE message (
  id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused: fencing relies on it
  trace TEXT NOT NULL,
  begun REAL,                            -- set while the body is still arriving, else null
  chunks INTEGER NOT NULL,
  size INTEGER NOT NULL,
  received REAL NOT NULL,
  envelope BLOB NOT NULL,
  head BLOB NOT NULL
);
CREATE INDEX message_trace ON message (trace);
CREATE INDEX message_begun ON message (begun) WHERE begun IS NOT NULL;
CREATE TABLE chunk (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE delivery (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  message INTEGER NOT NULL,
  domain TEXT NOT NULL,
  due REAL,                              -- null while held; the end of the lease while leased
  attempts INTEGER NOT NULL,
  token INTEGER NOT NULL,
  owner TEXT,                            -- who holds the lease
  reply TEXT NOT NULL,                   -- what the destination last said
  sender TEXT NOT NULL DEFAULT '',       -- who is treated fairly: an account, or a domain that sends to us
  held INTEGER NOT NULL DEFAULT 0,       -- 1: the operator holds it; what is leased is held after its attempt
  hop TEXT NOT NULL DEFAULT '',          -- host:port that the operator sends it to, whatever the route
  expires REAL NOT NULL DEFAULT 0,       -- earlier than the envelope says, where the operator says so
  warned INTEGER NOT NULL DEFAULT 0      -- 1: its sender was told of the delay
);
CREATE INDEX delivery_due ON delivery (due, domain, sender, hop);
CREATE INDEX delivery_message ON delivery (message);
CREATE INDEX delivery_domain ON delivery (domain, due, hop);
CREATE INDEX delivery_hop ON delivery (hop, due, sender) WHERE hop <> '';
CREATE TABLE recipient (
  delivery INTEGER NOT NULL,
  number INTEGER NOT NULL,
  address TEXT NOT NULL,
  state TEXT NOT NULL,
  reply TEXT NOT NULL,
  PRIMARY KEY (delivery, number)
) WITHOUT ROWID;
CREATE TABLE probe (id INTEGER PRIMARY KEY, time REAL NOT NULL);
"""

MIGRATIONS = {
    1: """
ALTER TABLE delivery ADD COLUMN sender TEXT NOT NULL DEFAULT '';
ALTER TABLE delivery ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN hop TEXT NOT NULL DEFAULT '';
ALTER TABLE delivery ADD COLUMN expires REAL NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN warned INTEGER NOT NULL DEFAULT 0;
UPDATE delivery SET held = 1 WHERE due IS NULL;
DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (due, domain, sender);
""",
    2: """
DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (due, domain, sender, hop);
DROP INDEX delivery_domain;
CREATE INDEX delivery_domain ON delivery (domain, due, hop);
CREATE INDEX delivery_hop ON delivery (hop, due, sender) WHERE hop <> '';
""",
}
"""What turns each version into the next, in the transaction that also sets the number."""


def create(path: Path) -> None:
    """Make the spool if it is not there, bring it to this version if it is older; SpoolError for a newer one.

    A migration is one transaction: power that fails in it leaves the old version. The directory is synced, so that the file itself survives a power cut.
    """
    try:
        connection = connect(path)
    except sqlite3.Error as error:
        raise SpoolError(
            f"{path}: cannot be opened: {error}", hint=f"look at the owner and mode of {path.parent}"
        ) from error
    try:
        connection.execute("BEGIN IMMEDIATE")
        found = _version(connection, path)
        if found == 0:
            _execute(connection, TABLES)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
        else:
            for version in range(found, VERSION):
                _execute(connection, MIGRATIONS[version])
        if found != VERSION:
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise SpoolError(f"{path}: cannot be prepared: {error}") from error
    finally:
        connection.close()
    sync_directory(path.parent)


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes, in its turn; its COMMIT does not wait for the disk, `log.WriteAheadLog` does."""
    connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA page_size = {PAGE}")  # has an effect where there is no file yet
    _use_log(connection, time.monotonic() + BUSY)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    # Debian's SQLite overwrites what is deleted: a body would be written twice, to be forgotten.
    connection.execute("PRAGMA secure_delete = FAST")
    connection.execute("PRAGMA temp_store = MEMORY")
    # KiB, a quarter of the default: what is not in it is in the kernel's memory, which all processes share.
    connection.execute("PRAGMA cache_size = -512")
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that never writes, for looking at the queue; raises SpoolError if there is none."""
    if not path.exists():
        raise SpoolError(f"{path}: there is no spool", hint="systemctl start mxd makes it")
    try:
        connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA query_only = 1")
        found = _version(connection, path)
    except sqlite3.Error as error:
        raise SpoolError(f"{path}: cannot be read: {error}") from error
    if found < VERSION:
        connection.close()
        raise SpoolError(
            f"{path}: written by an older mxd (schema {found}, this one reads {VERSION})",
            hint="systemctl start mxd brings it up to date",
        )
    return connection


def _use_log(connection: sqlite3.Connection, until: float) -> None:
    """Write-ahead log: SQLite's own time-out does not cover the change of mode, so several openers must ask again."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _execute(connection: sqlite3.Connection, script: str) -> None:
    """Statement by statement: executescript() would commit what is open."""
    for statement in script.split(";\n"):
        connection.execute(statement)


def sync_directory(directory: Path) -> None:
    """Make a directory's entries durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _version(connection: sqlite3.Connection, path: Path) -> int:
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found > VERSION:
        raise SpoolError(
            f"{path}: written by a newer mxd (schema {found}, this one knows {VERSION}); mail in it is safe",
            hint="mxfleet release shows which release to go back to",
        )
    return found
