"""Looking at the queue: how much waits, for whom, since when and why. Nothing here writes."""

import sqlite3
from collections.abc import Collection, Sequence

import msgspec

from mxfleet.mxd.spool.claims import DOMAINS, HOPS, TO, as_json
from mxfleet.mxd.spool.operator import where
from mxfleet.mxd.spool.protocol import (
    DomainSummary,
    Envelope,
    QueueItem,
    QueueSummary,
    Reason,
    Selection,
)

NEAREST = 500  # deliveries looked at for the next one due, before each domain is looked at by itself
ALIKE = 9  # characters of a reply that make it a reason: "451 4.7.1"
_envelopes = msgspec.json.Decoder(Envelope)


def next_due(connection: sqlite3.Connection, avoid: Collection[str]) -> float | None:
    """When the next delivery is due that goes to none of these domains and hops, however many wait for those."""
    seen, found = connection.execute(
        f"SELECT count(*), min(due) FILTER (WHERE {TO} NOT IN (SELECT value FROM json_each(?))) FROM"  # noqa: S608 - words of our own
        " (SELECT due, domain, hop FROM delivery WHERE due IS NOT NULL ORDER BY due LIMIT ?)",
        (as_json(avoid), NEAREST if avoid else 1),
    ).fetchone()
    if found is None and seen == NEAREST:
        found = connection.execute(
            "SELECT min(due) FROM (SELECT (SELECT min(due) FROM delivery INDEXED BY delivery_domain"  # noqa: S608 - words of our own
            f" WHERE domain = step.domain AND hop = '') AS due FROM ({DOMAINS}) AS step"
            " WHERE domain NOT IN (SELECT value FROM json_each(?))"
            f" UNION ALL SELECT (SELECT min(due) FROM delivery WHERE hop <> '' AND hop = step.hop) FROM ({HOPS}) AS step"
            " WHERE hop NOT IN (SELECT value FROM json_each(?)))",
            (-1, as_json(avoid), as_json(avoid)),
        ).fetchone()[0]
    due: float | None = found
    return due


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
        "SELECT d.domain, count(*), sum(d.owner IS NOT NULL AND d.due > ?), sum(d.held),"
        " min(m.received), min(d.due), max(d.reply), substr(d.reply, 1, ?) AS alike"
        " FROM delivery d JOIN message m ON m.id = d.message GROUP BY d.domain, alike",
        (now, ALIKE),
    ).fetchall()
    by_domain: dict[str, list[Sequence[object]]] = {}
    for row in rows:
        by_domain.setdefault(row[0], []).append(row)
    domains = [_domain(name, parts) for name, parts in by_domain.items()]
    return QueueSummary(
        messages=messages,
        deliveries=sum(d.deliveries for d in domains),
        octets=octets,
        oldest=oldest,
        domains=tuple(sorted(domains, key=lambda d: (-d.deliveries, d.domain))),
    )


def _domain(name: str, rows: Sequence[Sequence[object]]) -> DomainSummary:
    """One domain from its rows, one for each reason."""
    columns: list[list[object]] = [list(column) for column in zip(*rows, strict=True)]
    _, counts, leased, held, oldest, due, replies, _ = columns
    reasons = [
        Reason(msgspec.convert(count, int), str(reply))
        for count, reply in zip(counts, replies, strict=True)
        if reply
    ]
    reasons.sort(key=lambda reason: -reason.deliveries)
    return DomainSummary(
        domain=name,
        deliveries=sum(msgspec.convert(counts, list[int])),
        leased=sum(msgspec.convert(leased, list[int])),
        held=sum(msgspec.convert(held, list[int])),
        oldest=min(msgspec.convert(oldest, list[float])),
        next_due=min((d for d in msgspec.convert(due, list[float | None]) if d is not None), default=None),
        reply=reasons[0].reply if reasons else "",
        reasons=tuple(reasons),
    )


def items(
    connection: sqlite3.Connection, now: float, limit: int, selection: Selection
) -> tuple[QueueItem, ...]:
    """Waiting deliveries, the next due first, held ones last; each part in the order of an index."""
    condition, values = where(selection)
    found: list[QueueItem] = []
    for part in ("due IS NOT NULL", "due IS NULL"):
        rows = connection.execute(
            "SELECT id, message, domain, attempts, due, owner IS NOT NULL AND due > :clock, reply, held, hop, expires"  # noqa: S608 - words of our own
            f" FROM delivery WHERE {part} AND {condition} ORDER BY due LIMIT :limit",
            values | {"clock": now, "limit": limit - len(found)},
        ).fetchall()
        found += [_item(connection, row) for row in rows]
    return tuple(found)


def _item(connection: sqlite3.Connection, row: Sequence[object]) -> QueueItem:
    delivery, message, domain, attempts, due, leased, reply, held, hop, expires = row
    trace, octets, size, received = connection.execute(
        "SELECT trace, envelope, size, received FROM message WHERE id = ?", (message,)
    ).fetchone()
    addresses = connection.execute(
        "SELECT address FROM recipient WHERE delivery = ? AND state = 'waiting' ORDER BY number", (delivery,)
    ).fetchall()
    envelope = _envelopes.decode(octets)
    return msgspec.convert(
        {
            "trace": trace,
            "sender": envelope.sender,
            "domain": domain,
            "recipients": [address for (address,) in addresses],
            "size": size,
            "received": received,
            "attempts": attempts,
            "due": due,
            "leased": bool(leased),
            "reply": reply,
            "held": bool(held),
            "hop": hop,
            "expires": expires or envelope.expires,
            "delivery": delivery,
        },
        QueueItem,
    )
