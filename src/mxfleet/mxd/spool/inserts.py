"""Writing accepted messages: few statements with many rows, in the order message, chunks, deliveries, recipients."""

import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain

import msgspec

from mxfleet.errors import SpoolError
from mxfleet.mxd.spool.protocol import Envelope, Notice, Staged
from mxfleet.mxd.spool.schema import CHUNKS

# A row of each table; what is the same for all new mail stands in it, for each value that is bound costs time.
_MESSAGE = "(?,?,NULL,?,?,?,?,?)"
_CHUNK = "(?,?)"
_DELIVERY = "(?,?,?,?,0,0,NULL,'',?,0,'',0,0)"
_RECIPIENT = "(?,?,?,'waiting','')"
ROWS = (64, 32, 16, 8, 4, 2, 1)  # rows in a statement: few shapes, so that each is compiled once


class Accepted(msgspec.Struct, frozen=True):
    """A message ready to be written; `groups` are its recipients by domain."""

    envelope: Envelope
    encoded: bytes
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    head: bytes
    body: bytes
    staged: Staged | None


def accepted(
    envelope: Envelope, recipients: Sequence[str], head: bytes, body: bytes, staged: Staged | None
) -> Accepted:
    """Group the recipients by domain, in their order; everything that can be done before the commit."""
    groups: dict[str, list[str]] = {}
    for address in recipients:
        groups.setdefault(address.rpartition("@")[2].lower(), []).append(address)
    split = tuple((domain, tuple(members)) for domain, members in groups.items())
    return Accepted(envelope, msgspec.json.encode(envelope), split, head, body, staged)


def from_notice(notice: Notice) -> Accepted:
    """A message of our own as one to be written."""
    return accepted(notice.envelope, notice.recipients, notice.head, notice.body, None)


def insert(connection: sqlite3.Connection, messages: Sequence[Accepted]) -> None:
    """Write messages whole; the caller's transaction makes them visible."""
    last = dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))
    number, delivery = last.get("message", 0), last.get("delivery", 0)
    rows: list[tuple[object, ...]] = []
    chunks: list[tuple[object, ...]] = []
    deliveries: list[tuple[object, ...]] = []
    recipients: list[tuple[object, ...]] = []
    for item in messages:
        if item.staged is None:
            number += 1
            message, stored = number, 0
        else:
            message, stored = item.staged.message, item.staged.chunks
        if item.body:
            chunks.append((message * CHUNKS + stored, item.body))
            stored += 1
        envelope = item.envelope
        row = (message, envelope.trace, stored, envelope.size, envelope.received, item.encoded, item.head)
        if item.staged is None:
            rows.append(row)
        else:
            _complete(connection, row)
        sender = who_sends(envelope)
        for domain, members in item.groups:
            delivery += 1
            deliveries.append((delivery, message, domain, envelope.received, sender))
            recipients.extend([(delivery, n, address) for n, address in enumerate(members)])
    many(connection, "message", _MESSAGE, rows)
    many(connection, "chunk", _CHUNK, chunks)
    many(connection, "delivery", _DELIVERY, deliveries)
    many(connection, "recipient", _RECIPIENT, recipients)


def who_sends(envelope: Envelope) -> str:
    """Whom the scheduler treats fairly beside others: an account of ours, else the domain of the reverse-path."""
    return envelope.submitter or envelope.sender.rpartition("@")[2].lower()


def _complete(connection: sqlite3.Connection, row: Sequence[object]) -> None:
    """Turn a staged row into a message; refused if it was swept meanwhile, for its chunks are gone."""
    cursor = connection.execute(
        "UPDATE message SET trace = ?, begun = NULL, chunks = ?, size = ?, received = ?, envelope = ?, head = ?"
        " WHERE id = ? AND begun IS NOT NULL",
        (*row[1:], row[0]),
    )
    if cursor.rowcount != 1:
        raise SpoolError(f"staged message {row[0]} is not in the spool any more")


def many(connection: sqlite3.Connection, table: str, row: str, rows: Sequence[Iterable[object]]) -> None:
    """Insert rows of one form with as few statements as there are shapes."""
    position = 0
    for size in ROWS:
        while len(rows) - position >= size:
            values = list(chain.from_iterable(rows[position : position + size]))
            connection.execute(_statement(table, row, size), values)
            position += size


@cache
def _statement(table: str, row: str, rows: int) -> str:
    return f"INSERT INTO {table} VALUES " + ",".join([row] * rows)  # noqa: S608 - names are our own
