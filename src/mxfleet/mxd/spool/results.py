"""Writing down attempts, many at a time in few statements; what has no recipient left is forgotten.

A statement, and each row of its answer, gives up the interpreter lock and must win it back from the courier's loop:
so lists go in as one JSON parameter and come out as one JSON value.
"""

import sqlite3
from collections.abc import Sequence

import msgspec

from mxfleet.mxd.spool.claims import as_json
from mxfleet.mxd.spool.inserts import from_notice, insert
from mxfleet.mxd.spool.protocol import Lease, Notice, Result
from mxfleet.mxd.spool.queries import DUE
from mxfleet.mxd.spool.schema import CHUNKS

_numbers = msgspec.json.Decoder(list[int])
_pairs = msgspec.json.Decoder(list[tuple[int, int]])


class Record(msgspec.Struct, frozen=True):
    """What became of one lease; see Spool.record."""

    lease: Lease
    results: Sequence[Result]
    due: float
    notice: Notice | None = None
    warned: bool = False

    @property
    def ends(self) -> bool:
        """Whether nobody is left to try: who holds the lease has all that wait, and nobody else changes that."""
        over = {result.recipient for result in self.results if result.state != "waiting"}
        return all(recipient.number in over for recipient in self.lease.recipients)


def record(connection: sqlite3.Connection, records: Sequence[Record]) -> list[bool]:
    """Write down each attempt whose lease's token still is the last one; whether it was, in their order."""
    current = _current(connection, [record.lease.delivery for record in records])
    valid: list[Record] = []
    answers: list[bool] = []
    for record in records:
        token = (record.lease.delivery, record.lease.token)
        answers.append(token in current)
        if token in current:
            current.discard(token)  # a lease has one result
            valid.append(record)
    if notices := [from_notice(record.notice) for record in valid if record.notice is not None]:
        insert(connection, notices)
    for record in valid:
        if not record.ends:
            _keep(connection, record)
    _forget(connection, [record.lease for record in valid if record.ends])
    return answers


def _current(connection: sqlite3.Connection, deliveries: Sequence[int]) -> set[tuple[int, int]]:
    """The deliveries that are leased, with their tokens."""
    found = connection.execute(
        "SELECT json_group_array(json_array(id, token)) FROM delivery"
        " WHERE id IN (SELECT value FROM json_each(?)) AND owner IS NOT NULL",
        (as_json(deliveries),),
    ).fetchone()[0]
    return set(_pairs.decode(found))


def _keep(connection: sqlite3.Connection, record: Record) -> None:
    """Somebody waits still: what was last said to whom, and when it is tried again."""
    delivery = record.lease.delivery
    reply = next((r.reply for r in reversed(record.results) if r.state == "waiting"), "")
    connection.execute(
        f"UPDATE delivery SET {DUE}, attempts = attempts + 1, owner = NULL, reply = ?, warned = warned | ?"  # noqa: S608 - words of our own
        " WHERE id = ?",
        (record.lease.hop, record.due, reply, record.warned, delivery),
    )
    for result in record.results:
        connection.execute(
            "UPDATE recipient SET state = ?, reply = ? WHERE delivery = ? AND number = ? AND state = 'waiting'",
            (result.state, result.reply, delivery, result.recipient),
        )


def _forget(connection: sqlite3.Connection, leases: Sequence[Lease]) -> None:
    """Delete deliveries with their recipients, and the messages that have no other."""
    if not leases:
        return
    deliveries = as_json([lease.delivery for lease in leases])
    connection.execute(
        "DELETE FROM recipient WHERE delivery IN (SELECT value FROM json_each(?))", (deliveries,)
    )
    connection.execute("DELETE FROM delivery WHERE id IN (SELECT value FROM json_each(?))", (deliveries,))
    chunks = {lease.message.number: lease.message.chunks for lease in leases}
    over = connection.execute(
        "SELECT json_group_array(value) FROM json_each(?)"
        " WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE message = value)",
        (as_json(chunks),),
    ).fetchone()[0]
    pieces = [m * CHUNKS + number for m in _numbers.decode(over) for number in range(chunks[m])]
    connection.execute("DELETE FROM chunk WHERE id IN (SELECT value FROM json_each(?))", (as_json(pieces),))
    connection.execute("DELETE FROM message WHERE id IN (SELECT value FROM json_each(?))", (over,))
