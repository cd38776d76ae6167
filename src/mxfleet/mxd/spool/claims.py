"""Which deliveries are due, and leasing them: a long queue of one destination or one sender hides nobody's.

What the operator has re-routed does not go where the rest of its domain goes: its destination is its hop.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from mxfleet.mxd.spool.protocol import Candidate, Envelope, Lease, Recipient, State, StoredMessage
from mxfleet.mxd.spool.schema import CHUNKS

LOOK_AHEAD: Final = 8  # rows looked at for one that is wanted, before each domain is looked at by itself
MOST: Final = 5000  # domains looked at by themselves in one search
DOMAINS: Final = (  # those that have deliveries, by steps through the index; the parameter is how many, -1 all
    "WITH RECURSIVE step(domain) AS (SELECT min(domain) FROM delivery UNION ALL"
    " SELECT (SELECT min(domain) FROM delivery WHERE domain > step.domain) FROM step"
    " WHERE step.domain IS NOT NULL LIMIT ?) SELECT domain FROM step WHERE domain IS NOT NULL"
)
HOPS: Final = (  # those that something is re-routed to, likewise; an operator names few
    "WITH RECURSIVE step(hop) AS (SELECT min(hop) FROM delivery WHERE hop <> '' UNION ALL"
    " SELECT (SELECT min(hop) FROM delivery WHERE hop <> '' AND hop > step.hop) FROM step"
    " WHERE step.hop IS NOT NULL) SELECT hop FROM step WHERE hop IS NOT NULL"
)
TO: Final = "iif(hop = '', domain, hop)"  # a hop has a port, so that it is no domain
Row = tuple[int, str, str, str]  # number, domain, sender, hop
_envelopes = msgspec.json.Decoder(Envelope)
_rows_of = msgspec.json.Decoder(list[Row])


class Wish(msgspec.Struct, frozen=True):
    """What a search asks for; see Spool.due."""

    now: float
    limit: int
    avoid: frozenset[str] = frozenset()
    each: int = 1_000_000
    spare: frozenset[str] = frozenset()


class _Choice:
    """Candidates that fit a wish, in the order in which they are offered; none of a destination to avoid is."""

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self._taken: Counter[str] = Counter()
        self.found: dict[int, Candidate] = {}

    @property
    def full(self) -> bool:
        return len(self.found) >= self._wish.limit

    @property
    def sated(self) -> frozenset[str]:
        """Of which there are as many as are wanted."""
        return frozenset(to for to, count in self._taken.items() if count >= self._wish.each)

    def offer(self, rows: Iterable[Row]) -> None:
        wish = self._wish
        for delivery, domain, sender, hop in rows:
            if self.full:
                return
            if sender in wish.spare or self._taken[hop or domain] >= wish.each:
                continue
            if delivery not in self.found:
                self._taken[hop or domain] += 1
                self.found[delivery] = Candidate(delivery, domain, sender)


def due(connection: sqlite3.Connection, wish: Wish) -> tuple[Candidate, ...]:
    """The oldest that fit; where the oldest of all do not, a look at each hop and domain, then past all of a sender."""
    choice = _Choice(wish)
    ahead = wish.limit * LOOK_AHEAD
    for rows in (wish.limit, ahead):
        seen, fitting = _oldest(connection, wish, rows, wish.avoid | choice.sated)
        choice.offer(fitting)
        if seen < rows or choice.full:
            return tuple(choice.found.values())
    _each_hop(connection, wish, choice)
    whole = _each_domain(connection, wish, choice)
    if wish.spare and not whole and not choice.full:  # past all of a sender, which may be all that is due
        choice.offer(_past_senders(connection, wish, ahead))
    return tuple(choice.found.values())


def _oldest(
    connection: sqlite3.Connection, wish: Wish, rows: int, avoid: frozenset[str]
) -> tuple[int, list[Row]]:
    """How many there are among so many of the oldest, and which of them fit; `held` is asked only of those."""
    seen, fitting = connection.execute(
        "SELECT count(*), json_group_array(json_array(id, domain, sender, hop)) FILTER ("  # noqa: S608 - words of our own
        f"WHERE {TO} NOT IN (SELECT value FROM json_each(?))"
        " AND sender NOT IN (SELECT value FROM json_each(?))"
        " AND (SELECT held FROM delivery WHERE id = oldest.id) = 0)"
        " FROM (SELECT id, domain, sender, hop FROM delivery WHERE due <= ? ORDER BY due LIMIT ?) AS oldest",
        (as_json(avoid), as_json(wish.spare), wish.now, rows),
    ).fetchone()
    return seen, _rows_of.decode(fitting)


def _each_hop(connection: sqlite3.Connection, wish: Wish, choice: _Choice) -> None:
    """Offer the oldest for each hop that something is re-routed to, past all of the senders to spare."""
    for (hop,) in connection.execute(HOPS).fetchall():
        if hop not in wish.avoid and hop not in choice.sated:
            choice.offer(_of_hop(connection, hop, wish))


def _of_hop(connection: sqlite3.Connection, hop: str, wish: Wish) -> list[Row]:
    return _rows(
        connection,
        "SELECT id, domain, sender, hop FROM delivery WHERE hop <> '' AND hop = ? AND due <= ?"
        " AND sender NOT IN (SELECT value FROM json_each(?)) AND held = 0 ORDER BY due LIMIT ?",
        (hop, wish.now, as_json(wish.spare), min(wish.each, wish.limit)),
    )


def _each_domain(connection: sqlite3.Connection, wish: Wish, choice: _Choice) -> bool:
    """Offer the oldest of each domain; whether that was all there is in them."""
    whole, most = True, min(wish.each, wish.limit)
    for number, domain in enumerate(_domains(connection)):
        if choice.full:
            break
        if domain not in wish.avoid and domain not in choice.sated:
            oldest = _of_domain(connection, domain, wish.now, most)
            choice.offer(oldest)
            whole = whole and len(oldest) < most
        whole = whole and number + 1 < MOST
    return whole


def _domains(connection: sqlite3.Connection) -> Iterator[str]:
    """No more of them than are wanted: each is a step through the index."""
    rows = connection.execute(DOMAINS, (MOST,))
    for (domain,) in rows:
        yield domain


def _of_domain(connection: sqlite3.Connection, domain: str, now: float, most: int) -> list[Row]:
    return _rows(
        connection,
        "SELECT id, domain, sender, hop FROM delivery INDEXED BY delivery_domain"
        " WHERE domain = ? AND due <= ? AND hop = '' AND held = 0 ORDER BY due LIMIT ?",
        (domain, now, most),
    )


def _past_senders(connection: sqlite3.Connection, wish: Wish, limit: int) -> list[Row]:
    return _rows(
        connection,
        "SELECT id, domain, sender, hop FROM delivery INDEXED BY delivery_due WHERE due <= ? AND hop = ''"
        " AND sender NOT IN (SELECT value FROM json_each(?)) AND domain NOT IN (SELECT value FROM json_each(?))"
        " AND held = 0 ORDER BY due LIMIT ?",
        (wish.now, as_json(wish.spare), as_json(wish.avoid), limit),
    )


def _rows(connection: sqlite3.Connection, query: str, values: Sequence[object]) -> list[Row]:
    """All rows as one value: each row by itself would give up the interpreter lock."""
    whole = f"SELECT json_group_array(json_array(id, domain, sender, hop)) FROM ({query})"  # noqa: S608 - words of our own
    return _rows_of.decode(connection.execute(whole, values).fetchone()[0])


def lease(
    connection: sqlite3.Connection, owner: str, now: float, until: float, candidates: Sequence[Candidate]
) -> tuple[Lease, ...]:
    """Lease what still is due: the token grows and `due` moves to the lease's end, where it is due again."""
    wanted = connection.execute(
        "SELECT json_group_array(id) FROM delivery"
        " WHERE id IN (SELECT value FROM json_each(?)) AND due <= ? AND held = 0",
        (as_json([candidate.delivery for candidate in candidates]), now),
    ).fetchone()[0]
    changed = connection.execute(
        "UPDATE delivery SET due = ?, token = token + 1, owner = ? WHERE id IN (SELECT value FROM json_each(?))",
        (until, owner, wanted),
    )
    if not changed.rowcount:
        return ()
    taken = _taken(connection, wanted)
    messages = _messages(connection, as_json({row.message for row in taken.values()}))
    return tuple(
        _lease(taken[c.delivery], until, messages[taken[c.delivery].message])
        for c in candidates
        if c.delivery in taken
        and taken[c.delivery].message in messages  # one broken row must not stop all others
    )


class _Delivery(msgspec.Struct, array_like=True, frozen=True):
    """A row of `delivery` with its recipients."""

    delivery: int
    token: int
    domain: str
    attempts: int
    message: int
    sender: str
    hop: str
    expires: float
    warned: bool
    recipients: tuple[tuple[int, str, State, str], ...]


def _taken(connection: sqlite3.Connection, deliveries: str) -> dict[int, _Delivery]:
    """What a courier must know of each."""
    found = connection.execute(
        "SELECT json_group_array(json_array(id, token, domain, attempts, message, sender, hop, expires,"
        " json(iif(warned, 'true', 'false')), (SELECT json_group_array(json_array(number, address, state, reply))"
        " FROM recipient WHERE delivery = delivery.id AND state = 'waiting')))"
        " FROM delivery WHERE id IN (SELECT value FROM json_each(?))",
        (deliveries,),
    ).fetchone()[0]
    return {row.delivery: row for row in _deliveries.decode(found)}


def _lease(row: _Delivery, until: float, message: StoredMessage) -> Lease:
    end = message.envelope.expires
    return Lease(
        delivery=row.delivery,
        token=row.token,
        until=until,
        domain=row.domain,
        attempts=row.attempts,
        message=message,
        recipients=tuple(Recipient(*each) for each in row.recipients),
        sender=row.sender,
        hop=row.hop,
        expires=min(row.expires, end) if row.expires else end,
        warned=row.warned,
    )


def _messages(connection: sqlite3.Connection, numbers: str) -> dict[int, StoredMessage]:
    rows = connection.execute(
        "SELECT m.id, m.envelope, m.head, c.data, m.chunks FROM message m LEFT JOIN chunk c ON c.id = m.id * ?"
        " WHERE m.id IN (SELECT value FROM json_each(?))",
        (CHUNKS, numbers),
    )
    return {
        number: StoredMessage(number, _envelopes.decode(envelope), head, first or b"", chunks)
        for number, envelope, head, first, chunks in rows
    }


_deliveries = msgspec.json.Decoder(list[_Delivery])


def as_json(values: Collection[object]) -> str:
    """Values as one parameter, for json_each()."""
    return msgspec.json.encode(list(values)).decode()
