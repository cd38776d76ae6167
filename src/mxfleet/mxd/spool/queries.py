"""The SQL of the SQLite spool beside accepting: leases, results, and looking at the queue.

Each function runs inside the caller's transaction and takes the caller's clock.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence

import msgspec

from mxfleet.errors import SpoolError
from mxfleet.mxd.spool.inserts import from_notice, insert
from mxfleet.mxd.spool.protocol import (
    DomainSummary,
    Envelope,
    Lease,
    Notice,
    QueueItem,
    QueueSummary,
    Recipient,
    Result,
    Staged,
    StoredMessage,
)
from mxfleet.mxd.spool.schema import CHUNKS

LOOK_AHEAD = 8  # rows looked at for one that is wanted: a domain may have had its share
_envelopes = msgspec.json.Decoder(Envelope)


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


class Wish(msgspec.Struct, frozen=True):
    """What a claim asks for; see Spool.claim."""

    owner: str
    now: float
    until: float
    limit: int
    avoid: frozenset[str]
    each: int


def claim(connection: sqlite3.Connection, wish: Wish) -> tuple[Lease, ...]:
    """Lease due deliveries: the token grows and `due` moves to the lease's end, where it is due again."""
    found = connection.execute(
        "SELECT id, domain FROM delivery WHERE due <= ?"
        " AND domain NOT IN (SELECT value FROM json_each(?)) ORDER BY due LIMIT ?",
        (wish.now, _json(wish.avoid), wish.limit * LOOK_AHEAD),
    ).fetchall()
    taken: Counter[str] = Counter()
    leases: list[Lease] = []
    for delivery, domain in found:
        if len(leases) < wish.limit and taken[domain] < wish.each:
            taken[domain] += 1
            leases.append(_lease(connection, delivery, wish.owner, wish.until))
    return tuple(leases)


def _lease(connection: sqlite3.Connection, delivery: int, owner: str, until: float) -> Lease:
    domain, attempts, token, number = connection.execute(
        "UPDATE delivery SET due = ?, token = token + 1, owner = ? WHERE id = ?"
        " RETURNING domain, attempts, token, message",
        (until, owner, delivery),
    ).fetchone()
    recipients = connection.execute(
        "SELECT number, address, state, reply FROM recipient WHERE delivery = ? AND state = 'waiting'",
        (delivery,),
    ).fetchall()
    return Lease(
        delivery=delivery,
        token=token,
        until=until,
        domain=domain,
        attempts=attempts,
        message=_message(connection, number),
        recipients=tuple(Recipient(*row) for row in recipients),
    )


def _message(connection: sqlite3.Connection, number: int) -> StoredMessage:
    row = connection.execute(
        "SELECT m.envelope, m.head, c.data, m.chunks FROM message m LEFT JOIN chunk c ON c.id = ? WHERE m.id = ?",
        (number * CHUNKS, number),
    ).fetchone()
    return StoredMessage(number, _envelopes.decode(row[0]), row[1], row[2] or b"", row[3])


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
    connection: sqlite3.Connection, lease: Lease, results: Sequence[Result], due: float, notice: Notice | None
) -> bool:
    """Write down an attempt if the lease's token is still the last one."""
    reply = next((r.reply for r in reversed(results) if r.state == "waiting"), "")
    cursor = connection.execute(
        "UPDATE delivery SET due = ?, attempts = attempts + 1, owner = NULL, reply = ? WHERE id = ? AND token = ?"
        " AND owner IS NOT NULL",
        (due, reply, lease.delivery, lease.token),
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


def release(connection: sqlite3.Connection, owner: str, now: float) -> int:
    """End all leases of an owner; the tokens grow, so that a straggler cannot record."""
    return connection.execute(
        "UPDATE delivery SET due = ?, token = token + 1, owner = NULL WHERE owner = ?", (now, owner)
    ).rowcount


def requeue(connection: sqlite3.Connection, now: float, domain: str, trace: str) -> int:
    """Make waiting deliveries that are not leased due now."""
    return connection.execute(
        "UPDATE delivery SET due = :now WHERE owner IS NULL AND due > :now"
        " AND (:domain = '' OR domain = :domain)"
        " AND (:trace = '' OR message IN (SELECT id FROM message WHERE trace = :trace))",
        {"now": now, "domain": domain, "trace": trace},
    ).rowcount


def next_due(connection: sqlite3.Connection, avoid: Collection[str]) -> float | None:
    """When the next delivery is due."""
    row = connection.execute(
        "SELECT due FROM delivery WHERE due IS NOT NULL AND domain NOT IN (SELECT value FROM json_each(?))"
        " ORDER BY due LIMIT 1",
        (_json(avoid),),
    ).fetchone()
    return row[0] if row else None


def waiting(connection: sqlite3.Connection) -> int:
    """How many deliveries there are."""
    count: int = connection.execute("SELECT count(*) FROM delivery").fetchone()[0]
    return count


def summary(connection: sqlite3.Connection, now: float) -> QueueSummary:
    """The queue in numbers, the domain with most deliveries first."""
    messages, octets, oldest = connection.execute(
        "SELECT count(*), coalesce(sum(size), 0), min(received) FROM message WHERE begun IS NULL"
    ).fetchone()
    rows = connection.execute(
        "SELECT d.domain, count(*), sum(d.owner IS NOT NULL AND d.due > ?), sum(d.due IS NULL),"
        " min(m.received), min(d.due), max(d.reply)"
        " FROM delivery d JOIN message m ON m.id = d.message GROUP BY d.domain ORDER BY 2 DESC, 1",
        (now,),
    ).fetchall()
    domains = tuple(
        DomainSummary(
            domain=r[0], deliveries=r[1], leased=r[2], held=r[3], oldest=r[4], next_due=r[5], reply=r[6]
        )
        for r in rows
    )
    return QueueSummary(
        messages=messages,
        deliveries=sum(d.deliveries for d in domains),
        octets=octets,
        oldest=oldest,
        domains=domains,
    )


def items(connection: sqlite3.Connection, now: float, limit: int, domain: str) -> tuple[QueueItem, ...]:
    """Waiting deliveries, the next due first, held ones last."""
    rows = connection.execute(
        "SELECT d.id, m.trace, m.envelope, d.domain, m.size, m.received, d.attempts, d.due,"
        " d.owner IS NOT NULL AND d.due > ?, d.reply FROM delivery d JOIN message m ON m.id = d.message"
        " WHERE ? = '' OR d.domain = ? ORDER BY d.due IS NULL, d.due LIMIT ?",
        (now, domain, domain, limit),
    ).fetchall()
    return tuple(_item(connection, row) for row in rows)


def _item(connection: sqlite3.Connection, row: Sequence[object]) -> QueueItem:
    addresses = connection.execute(
        "SELECT address FROM recipient WHERE delivery = ? AND state = 'waiting' ORDER BY number", (row[0],)
    ).fetchall()
    fields = dict(
        zip(("domain", "size", "received", "attempts", "due", "leased", "reply"), row[3:], strict=True)
    )
    return msgspec.convert(
        {
            **fields,
            "leased": bool(fields["leased"]),
            "trace": row[1],
            "sender": _envelopes.decode(row[2]).sender if isinstance(row[2], bytes) else "",
            "recipients": [address for (address,) in addresses],
        },
        QueueItem,
    )


def _json(values: Collection[str]) -> str:
    return msgspec.json.encode(list(values)).decode()
