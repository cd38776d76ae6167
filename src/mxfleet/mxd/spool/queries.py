"""The SQL of the SQLite spool for bodies that arrive, leases that go on, and results.

Each function runs inside the caller's transaction and takes the caller's clock.
"""

import sqlite3
from collections.abc import Collection, Sequence

from mxfleet.errors import SpoolError
from mxfleet.mxd.spool.inserts import from_notice, insert
from mxfleet.mxd.spool.protocol import Lease, Notice, Result, Staged
from mxfleet.mxd.spool.schema import CHUNKS

_DUE = "due = CASE held WHEN 1 THEN NULL ELSE ? END"  # what the operator holds waits for him


def stage(connection: sqlite3.Connection, staged: Staged | None, chunk: bytes, now: float) -> Staged:
    """Add a chunk to a body that is still arriving, begun here if `staged` is None."""
    if staged is None:
        cursor = connection.execute("INSERT INTO message VALUES (NULL, '', ?, 0, 0, ?, x'', x'')", (now, now))
        staged = Staged(int(cursor.lastrowid or 0), 0)
    connection.execute("INSERT INTO chunk VALUES (?, ?)", (staged.message * CHUNKS + staged.chunks, chunk))
    return Staged(staged.message, staged.chunks + 1)


def discard(connection: sqlite3.Connection, message: int) -> None:
    """Delete a message with its body."""
    connection.execute(
        "DELETE FROM chunk WHERE id BETWEEN ? AND ?", (message * CHUNKS, message * CHUNKS + CHUNKS - 1)
    )
    connection.execute("DELETE FROM message WHERE id = ?", (message,))


def sweep(connection: sqlite3.Connection, before: float) -> int:
    """Delete bodies that began to arrive before that time and never were accepted."""
    rows = connection.execute("SELECT id FROM message WHERE begun < ?", (before,)).fetchall()
    for (message,) in rows:
        discard(connection, message)
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


def record(
    connection: sqlite3.Connection,
    lease: Lease,
    results: Sequence[Result],
    due: float,
    notice: Notice | None,
    warned: bool,
) -> bool:
    """Write down an attempt if the lease's token is still the last one."""
    reply = next((r.reply for r in reversed(results) if r.state == "waiting"), "")
    cursor = connection.execute(
        f"UPDATE delivery SET {_DUE}, attempts = attempts + 1, owner = NULL, reply = ?, warned = warned | ?"  # noqa: S608 - words of our own
        " WHERE id = ? AND token = ? AND owner IS NOT NULL",
        (due, reply, warned, lease.delivery, lease.token),
    )
    if not cursor.rowcount:
        return False
    for result in results:
        connection.execute(
            "UPDATE recipient SET state = ?, reply = ? WHERE delivery = ? AND number = ? AND state = 'waiting'",
            (result.state, result.reply, lease.delivery, result.recipient),
        )
    if notice is not None:
        insert(connection, [from_notice(notice)])
    _drop_if_done(connection, lease.delivery, lease.message.number)
    return True


def _drop_if_done(connection: sqlite3.Connection, delivery: int, message: int) -> None:
    waiting = "SELECT 1 FROM recipient WHERE delivery = ? AND state = 'waiting' LIMIT 1"
    if connection.execute(waiting, (delivery,)).fetchone():
        return
    connection.execute("DELETE FROM recipient WHERE delivery = ?", (delivery,))
    connection.execute("DELETE FROM delivery WHERE id = ?", (delivery,))
    if not connection.execute("SELECT 1 FROM delivery WHERE message = ? LIMIT 1", (message,)).fetchone():
        discard(connection, message)


def put_back(connection: sqlite3.Connection, lease: Lease, due: float) -> bool:
    """End one lease without an attempt."""
    cursor = connection.execute(
        f"UPDATE delivery SET {_DUE}, owner = NULL WHERE id = ? AND token = ? AND owner IS NOT NULL",  # noqa: S608 - words of our own
        (due, lease.delivery, lease.token),
    )
    return cursor.rowcount == 1


def release(connection: sqlite3.Connection, owner: str, now: float) -> int:
    """End all leases of an owner; the tokens grow, so that a straggler cannot record."""
    return connection.execute(
        f"UPDATE delivery SET {_DUE}, token = token + 1, owner = NULL WHERE owner = ?",  # noqa: S608 - words of our own
        (now, owner),
    ).rowcount
