"""What an operator does to the queue: hold, let go, retry, delete, re-route, expire, by a selection.

What is leased is being tried at this moment: it is held, re-routed or expired after its attempt, and never deleted
under its courier's hands.
"""

import sqlite3

from mxfleet.mxd.spool.protocol import Changed, Selection
from mxfleet.mxd.spool.queries import forget


def where(selection: Selection) -> tuple[str, dict[str, object]]:
    """The condition on `delivery` that a selection means, so written that an index serves it."""
    parts: list[str] = []
    if selection.domain:
        parts.append("domain = :domain")
    if selection.trace:
        parts.append("message IN (SELECT id FROM message WHERE trace = :trace)")
    if selection.sender:
        parts.append(
            "message IN (SELECT id FROM message WHERE begun IS NULL"
            " AND json_extract(CAST(envelope AS TEXT), '$.sender') = :sender)"
        )
    if selection.recipient:
        parts.append(
            "id IN (SELECT delivery FROM recipient WHERE state = 'waiting' AND address = :recipient COLLATE NOCASE)"
        )
    if selection.held is not None:
        parts.append("held = :held")
    if selection.owner:
        parts.append("owner = :owner")
    values = {
        "owner": selection.owner,
        "domain": selection.domain,
        "trace": selection.trace,
        "sender": selection.sender,
        "recipient": selection.recipient,
        "held": int(bool(selection.held)),
    }
    return " AND ".join(parts) or "1", values


def requeue(connection: sqlite3.Connection, now: float, selection: Selection) -> Changed:
    """Due now, unless held or leased."""
    return _update(connection, "due = :now", "held = 0 AND owner IS NULL AND due > :now", now, selection)


def hold(connection: sqlite3.Connection, selection: Selection) -> Changed:
    """`due` stays only where it is the end of a lease."""
    change = "held = 1, due = CASE WHEN owner IS NULL THEN NULL ELSE due END"
    return _update(connection, change, "held = 0", 0.0, selection)


def let_go(connection: sqlite3.Connection, now: float, selection: Selection) -> Changed:
    """Due at once; one still leased keeps its lease."""
    change = "held = 0, due = CASE WHEN owner IS NULL THEN :now ELSE due END"
    return _update(connection, change, "held = 1", now, selection)


def reroute(connection: sqlite3.Connection, now: float, selection: Selection, hop: str) -> Changed:
    """To another next hop, before all that is due where it waits; what is leased follows when its lease ends."""
    change = "hop = :hop, due = CASE WHEN owner IS NULL AND held = 0 THEN 0 ELSE due END"
    return _update(connection, change, "hop <> :hop", now, selection, hop)


def expire(connection: sqlite3.Connection, now: float, selection: Selection) -> Changed:
    """One last try now: what it does not deliver fails."""
    change = "expires = :now, held = 0, due = CASE WHEN owner IS NULL THEN :now ELSE due END"
    return _update(connection, change, "1", now, selection)


def _update(
    connection: sqlite3.Connection,
    change: str,
    condition: str,
    now: float,
    selection: Selection,
    hop: str = "",
) -> Changed:
    wanted, values = where(selection)
    values |= {"now": now, "hop": hop}
    busy = connection.execute(
        f"SELECT count(*) FROM delivery WHERE owner IS NOT NULL AND {wanted}",  # noqa: S608 - words of our own
        values,
    ).fetchone()[0]
    cursor = connection.execute(f"UPDATE delivery SET {change} WHERE {condition} AND {wanted}", values)  # noqa: S608 - words of our own
    return Changed(cursor.rowcount, busy)


def delete(connection: sqlite3.Connection, selection: Selection) -> Changed:
    """Deliveries, their recipients, and messages that have none left."""
    wanted, values = where(selection)
    rows = connection.execute(f"SELECT id, message, owner FROM delivery WHERE {wanted}", values).fetchall()  # noqa: S608 - words of our own
    free = [(delivery, message) for delivery, message, owner in rows if owner is None]
    connection.executemany("DELETE FROM recipient WHERE delivery = ?", [(d,) for d, _ in free])
    connection.executemany("DELETE FROM delivery WHERE id = ?", [(d,) for d, _ in free])
    for message in {m for _, m in free}:
        left = "SELECT 1 FROM delivery WHERE message = ? LIMIT 1"
        if not connection.execute(left, (message,)).fetchone():
            forget(connection, message)
    return Changed(len(free), len(rows) - len(free))
