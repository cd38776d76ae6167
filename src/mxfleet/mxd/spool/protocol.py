"""What a spool is: values that go in and come out, and the promises that every implementation keeps.

A message is one body with an envelope; it is split into deliveries, one for each recipient domain, and a
delivery is what is due, leased, tried and recorded. Accepting is one transaction: body, envelope and
recipients become visible together or not at all. The future of `accept` is done only after the commit,
whose meaning is the spool's: on disk, or on the disks of two machines.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Literal, Protocol

import msgspec

from mxfleet.errors import SpoolError

CHUNK = 262_144  # octets of a body in one row; a body of any size streams in such pieces

State = Literal["waiting", "delivered", "failed"]


class SpoolFull(SpoolError):
    """There is no room: nothing was written, nothing was lost; the client is told 452 4.3.1."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was said around a message; times in seconds since the epoch, `sender` empty for the null path.

    `submitter` is the account that authenticated, empty for mail from elsewhere: only its mail may bounce.
    """

    trace: str
    sender: str
    received: float
    expires: float
    submitter: str = ""
    client: str = ""
    helo: str = ""
    eight_bit: bool = False
    utf8: bool = False
    size: int = 0
    message_id: str = ""


class Staged(msgspec.Struct, frozen=True):
    """A body that is still arriving: `message` is its number, `chunks` of CHUNK octets are already stored."""

    message: int
    chunks: int


class Recipient(msgspec.Struct, frozen=True):
    """One recipient of a delivery with what was last said about it."""

    number: int
    address: str
    state: State = "waiting"
    reply: str = ""


class StoredMessage(msgspec.Struct, frozen=True):
    """A message as the courier sees it: `head` goes before the body, whose first chunk is already here."""

    number: int
    envelope: Envelope
    head: bytes
    first: bytes
    chunks: int


class Lease(msgspec.Struct, frozen=True):
    """The right to try one delivery until `until`; `token` fences off whoever held an earlier lease."""

    delivery: int
    token: int
    until: float
    domain: str
    attempts: int
    message: StoredMessage
    recipients: tuple[Recipient, ...]


class Result(msgspec.Struct, frozen=True):
    """What became of one recipient in one attempt; `waiting` means try again."""

    recipient: int
    state: State
    reply: str


class Notice(msgspec.Struct, frozen=True):
    """A message of our own, such as a bounce, that is accepted in the transaction of what caused it."""

    envelope: Envelope
    recipients: tuple[str, ...]
    head: bytes
    body: bytes


class QueueItem(msgspec.Struct, frozen=True, kw_only=True):
    """One waiting delivery, for the operator; `due` is None for one that is held."""

    trace: str
    sender: str
    domain: str
    recipients: tuple[str, ...]
    size: int
    received: float
    attempts: int
    due: float | None
    leased: bool
    reply: str


class DomainSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for one domain."""

    domain: str
    deliveries: int
    leased: int
    held: int
    oldest: float
    next_due: float | None
    reply: str


class QueueSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The whole queue in numbers."""

    messages: int
    deliveries: int
    octets: int
    oldest: float | None
    domains: tuple[DomainSummary, ...]


class Spool(Protocol):
    """The queue. Every `now` is the caller's clock; every future is done after the commit or not at all.

    Any call may raise SpoolFull or SpoolError; then it changed nothing.
    """

    def accept(
        self,
        envelope: Envelope,
        recipients: Sequence[str],
        head: bytes,
        body: bytes,
        staged: Staged | None = None,
    ) -> asyncio.Future[None]:
        """Take over responsibility for a message; `body` is what follows the staged chunks, at most CHUNK."""

    def stage(self, staged: Staged | None, chunk: bytes) -> asyncio.Future[Staged]:
        """Store one chunk of exactly CHUNK octets of a body that is still arriving; invisible until accepted."""

    def discard(self, staged: Staged) -> asyncio.Future[None]:
        """Forget a body that will not be accepted."""

    def sweep(self, before: float) -> asyncio.Future[int]:
        """Forget staged bodies begun before that time, whose sessions died; returns how many."""

    def claim(
        self,
        owner: str,
        now: float,
        seconds: float,
        limit: int,
        avoid: Collection[str] = (),
        each: int = 1_000_000,
    ) -> asyncio.Future[tuple[Lease, ...]]:
        """Lease up to `limit` due deliveries, oldest first.

        None for the domains in `avoid`, no more than `each` for any other; so that it may find fewer than there
        are, a caller asks again with what it has got in `avoid`.
        """

    def chunk(self, message: int, number: int) -> asyncio.Future[bytes]:
        """One chunk of a body."""

    def extend(self, leases: Collection[Lease], now: float, seconds: float) -> asyncio.Future[frozenset[int]]:
        """Prolong leases; returns the deliveries that still are ours (the others must be left alone)."""

    def record(
        self, lease: Lease, results: Sequence[Result], due: float, notice: Notice | None = None
    ) -> asyncio.Future[bool]:
        """Write down an attempt; False, and nothing done, if the lease was lost.

        What has no waiting recipient left is deleted, body and all; the rest is due again at `due`.
        """

    def release(self, owner: str, now: float) -> asyncio.Future[int]:
        """Give up all leases of an owner that died or ends; they are due at once."""

    def requeue(self, now: float, *, domain: str = "", trace: str = "") -> asyncio.Future[int]:
        """Make waiting deliveries due now: all, or those of a domain or a message; returns how many."""

    def next_due(self, avoid: Collection[str] = ()) -> asyncio.Future[float | None]:
        """When the next delivery is due, leases included."""

    def waiting(self) -> asyncio.Future[int]:
        """How many deliveries there are."""

    def summary(self, now: float) -> asyncio.Future[QueueSummary]:
        """The queue in numbers."""

    def items(self, now: float, limit: int, domain: str = "") -> asyncio.Future[tuple[QueueItem, ...]]:
        """Waiting deliveries, the next due first."""

    def probe(self, now: float) -> asyncio.Future[None]:
        """Make one tiny durable commit, so that a caller knows whether mail can be accepted."""

    def close(self) -> None:
        """Finish what is pending and let go; afterwards every call raises SpoolError."""
