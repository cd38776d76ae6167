"""Which deliveries are due, and leasing them: a long queue of one destination or one sender hides nobody's."""

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from mxfleet.mxd.spool.protocol import Candidate, Envelope, Lease, Recipient, StoredMessage
from mxfleet.mxd.spool.schema import CHUNKS

LOOK_AHEAD: Final = 8  # rows looked at for one that is wanted, before each domain is looked at by itself
DOMAINS: Final = 5000  # domains looked at by themselves in one search
_envelopes = msgspec.json.Decoder(Envelope)


class Wish(msgspec.Struct, frozen=True):
    """What a search asks for; see Spool.due."""

    now: float
    limit: int
    avoid: frozenset[str] = frozenset()
    each: int = 1_000_000
    spare: frozenset[str] = frozenset()


class _Choice:
    """Candidates that fit a wish, in the order in which they are offered."""

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self._taken: Counter[str] = Counter()
        self.found: dict[int, Candidate] = {}

    @property
    def full(self) -> bool:
        return len(self.found) >= self._wish.limit

    def offer(self, rows: Iterable[tuple[int, str, str]]) -> None:
        wish = self._wish
        for delivery, domain, sender in rows:
            if self.full:
                return
            if domain in wish.avoid or sender in wish.spare or self._taken[domain] >= wish.each:
                continue
            if delivery not in self.found:
                self._taken[domain] += 1
                self.found[delivery] = Candidate(delivery, domain, sender)


def due(connection: sqlite3.Connection, wish: Wish) -> tuple[Candidate, ...]:
    """The oldest that fit; where the oldest of all do not, a look at each domain, then past all of a sender."""
    choice = _Choice(wish)
    ahead = wish.limit * LOOK_AHEAD
    rows = connection.execute(
        "SELECT id, domain, sender FROM delivery WHERE due <= ? AND held = 0 ORDER BY due LIMIT ?",
        (wish.now, ahead),
    ).fetchall()
    choice.offer(rows)
    if len(rows) < ahead or choice.full:
        return tuple(choice.found.values())
    for domain in _domains(connection):
        if choice.full:
            break
        if domain not in wish.avoid:
            choice.offer(_of_domain(connection, domain, wish))
    if wish.spare and not choice.full:
        choice.offer(_past_senders(connection, wish, ahead))
    return tuple(choice.found.values())


def _domains(connection: sqlite3.Connection) -> Iterator[str]:
    """The domains that have deliveries, by steps through the index, no more of them than are wanted."""
    rows = connection.execute(
        "WITH RECURSIVE step(domain) AS (SELECT min(domain) FROM delivery UNION ALL"
        " SELECT (SELECT min(domain) FROM delivery WHERE domain > step.domain) FROM step"
        " WHERE step.domain IS NOT NULL LIMIT ?) SELECT domain FROM step WHERE domain IS NOT NULL",
        (DOMAINS,),
    )
    for (domain,) in rows:
        yield domain


def _of_domain(connection: sqlite3.Connection, domain: str, wish: Wish) -> list[tuple[int, str, str]]:
    return connection.execute(
        "SELECT id, domain, sender FROM delivery WHERE domain = ? AND due <= ? AND held = 0 ORDER BY due LIMIT ?",
        (domain, wish.now, min(wish.each, wish.limit)),
    ).fetchall()


def _past_senders(connection: sqlite3.Connection, wish: Wish, limit: int) -> list[tuple[int, str, str]]:
    return connection.execute(
        "SELECT id, domain, sender FROM delivery INDEXED BY delivery_due WHERE due <= ?"
        " AND sender NOT IN (SELECT value FROM json_each(?)) AND domain NOT IN (SELECT value FROM json_each(?))"
        " AND held = 0 ORDER BY due LIMIT ?",
        (wish.now, as_json(wish.spare), as_json(wish.avoid), limit),
    ).fetchall()


def lease(
    connection: sqlite3.Connection, owner: str, now: float, until: float, candidates: Sequence[Candidate]
) -> tuple[Lease, ...]:
    """Lease what still is due: the token grows and `due` moves to the lease's end, where it is due again."""
    numbers = as_json([candidate.delivery for candidate in candidates])
    taken = {
        row[0]: row
        for row in connection.execute(
            "UPDATE delivery SET due = ?, token = token + 1, owner = ?"
            " WHERE id IN (SELECT value FROM json_each(?)) AND due <= ? AND held = 0"
            " RETURNING id, token, domain, attempts, message, sender, hop, expires, warned",
            (until, owner, numbers, now),
        )
    }
    if not taken:
        return ()
    recipients = _recipients(connection, as_json(list(taken)))
    messages = _messages(connection, as_json(list({row[4] for row in taken.values()})))
    return tuple(
        _lease(taken[c.delivery], until, messages, recipients) for c in candidates if c.delivery in taken
    )


def _lease(
    row: tuple[int, int, str, int, int, str, str, float, int],
    until: float,
    messages: dict[int, StoredMessage],
    recipients: dict[int, list[Recipient]],
) -> Lease:
    delivery, token, domain, attempts, number, sender, hop, expires, warned = row
    message = messages[number]
    end = min(expires, message.envelope.expires) if expires else message.envelope.expires
    return Lease(
        delivery=delivery,
        token=token,
        until=until,
        domain=domain,
        attempts=attempts,
        message=message,
        recipients=tuple(recipients.get(delivery, ())),
        sender=sender,
        hop=hop,
        expires=end,
        warned=bool(warned),
    )


def _recipients(connection: sqlite3.Connection, deliveries: str) -> dict[int, list[Recipient]]:
    found: dict[int, list[Recipient]] = {}
    rows = connection.execute(
        "SELECT delivery, number, address, state, reply FROM recipient"
        " WHERE delivery IN (SELECT value FROM json_each(?)) AND state = 'waiting'",
        (deliveries,),
    )
    for delivery, *rest in rows:
        found.setdefault(delivery, []).append(Recipient(*rest))
    return found


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


def as_json(values: Collection[object]) -> str:
    """Values as one parameter, for json_each()."""
    return msgspec.json.encode(list(values)).decode()
