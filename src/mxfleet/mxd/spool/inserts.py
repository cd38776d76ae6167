"""Writing accepted messages: few statements with many rows, in the order message, chunks, deliveries, recipients."""

import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache

import msgspec

from mxfleet.errors import SpoolError
from mxfleet.mxd.spool.protocol import Envelope, Notice, Staged
from mxfleet.mxd.spool.schema import CHUNKS

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
    number, delivery = _last(connection, "message"), _last(connection, "delivery")
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
        row = (
            message,
            envelope.trace,
            None,
            stored,
            envelope.size,
            envelope.received,
            item.encoded,
            item.head,
        )
        if item.staged is None:
            rows.append(row)
        else:
            _complete(connection, row)
        sender = who_sends(envelope)
        for domain, members in item.groups:
            delivery += 1
            deliveries.append(
                (delivery, message, domain, envelope.received, 0, 0, None, "", sender, 0, "", 0, 0)
            )
            recipients.extend((delivery, n, address, "waiting", "") for n, address in enumerate(members))
    many(connection, "message", 8, rows)
    many(connection, "chunk", 2, chunks)
    many(connection, "delivery", 13, deliveries)
    many(connection, "recipient", 5, recipients)


def who_sends(envelope: Envelope) -> str:
    """Whom the scheduler treats fairly beside others: an account of ours, else the domain of the reverse-path."""
    return envelope.submitter or envelope.sender.rpartition("@")[2].lower()


def _complete(connection: sqlite3.Connection, row: Sequence[object]) -> None:
    """Turn a staged row into a message; refused if it was swept meanwhile, for its chunks are gone."""
    cursor = connection.execute(
        "UPDATE message SET trace = ?, begun = ?, chunks = ?, size = ?, received = ?, envelope = ?, head = ?"
        " WHERE id = ? AND begun IS NOT NULL",
        (*row[1:], row[0]),
    )
    if cursor.rowcount != 1:
        raise SpoolError(f"staged message {row[0]} is not in the spool any more")


def many(connection: sqlite3.Connection, table: str, columns: int, rows: Sequence[Iterable[object]]) -> None:
    """Insert rows with as few statements as there are shapes."""
    position = 0
    for size in ROWS:
        while len(rows) - position >= size:
            values: list[object] = []
            for row in rows[position : position + size]:
                values.extend(row)
            connection.execute(_statement(table, columns, size), values)
            position += size


@cache
def _statement(table: str, columns: int, rows: int) -> str:
    row = "(" + ",".join("?" * columns) + ")"
    return f"INSERT INTO {table} VALUES " + ",".join([row] * rows)  # noqa: S608 - names are our own


def _last(connection: sqlite3.Connection, table: str) -> int:
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return row[0] if row else 0
