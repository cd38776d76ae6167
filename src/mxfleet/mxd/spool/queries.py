"""The SQL of the SQLite spool for bodies that arrive, and for leases that go on or are given up.

Each function runs inside the caller's transaction and takes the caller's clock.
"""

import sqlite3
from collections.abc import Collection

from mxfleet.errors import SpoolError
from mxfleet.mxd.spool.protocol import Lease, Staged
from mxfleet.mxd.spool.schema import CHUNKS

# What the operator holds waits for him; what he has re-routed meanwhile (the first parameter is the old hop) goes first.
DUE = "due = CASE WHEN held THEN NULL WHEN hop <> ? THEN 0 ELSE ? END"


def stage(connection: sqlite3.Connection, staged: Staged | None, chunk: bytes, now: float) -> Staged:
    """Add a chunk to a body that is still arriving, begun here if `staged` is None."""
    if staged is None:
        cursor = connection.execute("INSERT INTO message VALUES (NULL, '', ?, 0, 0, ?, x'', x'')", (now, now))
        staged = Staged(int(cursor.lastrowid or 0), 0)
    connection.execute("INSERT INTO chunk VALUES (?, ?)", (staged.message * CHUNKS + staged.chunks, chunk))
    return Staged(staged.message, staged.chunks + 1)


def discard(connection: sqlite3.Connection, message: int) -> None:
    """Forget a body that is still arriving.

    One that was written as a message stays: its session knows only that the sync failed, and others may have it already.
    """
    arriving = "SELECT 1 FROM message WHERE id = ? AND begun IS NOT NULL"
    if connection.execute(arriving, (message,)).fetchone():
        forget(connection, message)


def forget(connection: sqlite3.Connection, message: int) -> None:
    """Delete a message with its body."""
    connection.execute(
        "DELETE FROM chunk WHERE id BETWEEN ? AND ?", (message * CHUNKS, message * CHUNKS + CHUNKS - 1)
    )
    connection.execute("DELETE FROM message WHERE id = ?", (message,))


def sweep(connection: sqlite3.Connection, before: float) -> int:
    """Delete bodies that began to arrive before that time and never were accepted."""
    rows = connection.execute("SELECT id FROM message WHERE begun < ?", (before,)).fetchall()
    for (message,) in rows:
        forget(connection, message)
    return len(rows)


def chunk(connection: sqlite3.Connection, message: int, number: int) -> bytes:
    """One chunk; raises SpoolError if it is not there (any more)."""
    row = connection.execute("SELECT data FROM chunk WHERE id = ?", (message * CHUNKS + number,)).fetchone()
    if row is None:
        raise SpoolError(f"chunk {number} of message {message} is not in the spool")
    data: bytes = row[0]
    return data


def extend(
    connection: sqlite3.Connection, leases: Collection[tuple[int, int]], until: float
) -> frozenset[int]:
    """Prolong leases (delivery, token); returns the deliveries that still belong to their token."""
    kept = set()
    for delivery, token in leases:
        cursor = connection.execute(
            "UPDATE delivery SET due = ? WHERE id = ? AND token = ? AND owner IS NOT NULL",
            (until, delivery, token),
        )
        if cursor.rowcount:
            kept.add(delivery)
    return frozenset(kept)


def put_back(connection: sqlite3.Connection, lease: Lease, due: float) -> bool:
    """End one lease without an attempt."""
    cursor = connection.execute(
        f"UPDATE delivery SET {DUE}, owner = NULL WHERE id = ? AND token = ? AND owner IS NOT NULL",  # noqa: S608 - words of our own
        (lease.hop, due, lease.delivery, lease.token),
    )
    return cursor.rowcount == 1


def release(connection: sqlite3.Connection, owner: str, now: float) -> int:
    """End all leases of an owner; the tokens grow, so that a straggler cannot record."""
    return connection.execute(
        "UPDATE delivery SET due = CASE WHEN held THEN NULL ELSE ? END, token = token + 1, owner = NULL WHERE owner = ?",
        (now, owner),
    ).rowcount
