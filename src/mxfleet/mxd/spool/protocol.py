"""What a spool is: values that go in and come out, and the promises that every implementation keeps.

A message is one body with an envelope; it is split into deliveries, one for each recipient domain, and a
delivery is what is due, leased, tried and recorded. Accepting is one transaction: body, envelope and
recipients become visible together or not at all. The future of `accept` is done only after the commit,
whose meaning is the spool's: on disk, or on the disks of two machines.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol

from mxfleet.mxd.spool.values import (
    CHUNK,
    Candidate,
    Changed,
    DomainSummary,
    Envelope,
    Lease,
    Notice,
    QueueItem,
    QueueSummary,
    Reason,
    Recipient,
    Result,
    Selection,
    SpoolFull,
    Staged,
    State,
    StoredMessage,
)

__all__ = [
    "CHUNK",
    "Candidate",
    "Changed",
    "DomainSummary",
    "Envelope",
    "Lease",
    "Notice",
    "QueueItem",
    "QueueSummary",
    "Reason",
    "Recipient",
    "Result",
    "Selection",
    "Spool",
    "SpoolFull",
    "Staged",
    "State",
    "StoredMessage",
]


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

    def due(
        self,
        now: float,
        limit: int,
        avoid: Collection[str] = (),
        each: int = 1_000_000,
        spare: Collection[str] = (),
    ) -> asyncio.Future[tuple[Candidate, ...]]:
        """Up to `limit` deliveries that are due, oldest first, without a claim: it holds nobody up.

        None for the destinations in `avoid` or by the senders in `spare`, no more than `each` for any other; one with
        a long queue hides nobody's. A destination is a domain, or the hop that the operator has re-routed to. It may
        find fewer than there are: a caller asks again.
        """

    def lease(
        self, owner: str, now: float, seconds: float, candidates: Sequence[Candidate]
    ) -> asyncio.Future[tuple[Lease, ...]]:
        """Lease those that still are due, in their order."""

    def claim(
        self,
        owner: str,
        now: float,
        seconds: float,
        limit: int,
        avoid: Collection[str] = (),
        each: int = 1_000_000,
    ) -> asyncio.Future[tuple[Lease, ...]]:
        """`due` and `lease` in one."""

    def chunk(self, message: int, number: int) -> asyncio.Future[bytes]:
        """One chunk of a body."""

    def extend(self, leases: Collection[Lease], now: float, seconds: float) -> asyncio.Future[frozenset[int]]:
        """Prolong leases; returns the deliveries that still are ours (the others must be left alone)."""

    def record(
        self,
        lease: Lease,
        results: Sequence[Result],
        due: float,
        notice: Notice | None = None,
        *,
        warned: bool = False,
    ) -> asyncio.Future[bool]:
        """Write down an attempt; False, and nothing done, if the lease was lost.

        What has no waiting recipient left is deleted, body and all; the rest is due again at `due`, or held, or at
        once where it was re-routed, if the operator said so meanwhile. `warned` keeps in mind that the notice told of a delay.
        """

    def put_back(self, lease: Lease, due: float) -> asyncio.Future[bool]:
        """End a lease without an attempt; due at `due` unless held or re-routed meanwhile; False if it was lost."""

    def release(self, owner: str, now: float) -> asyncio.Future[int]:
        """Give up all leases of an owner that died or ends; they are due at once."""

    def requeue(self, now: float, selection: Selection) -> asyncio.Future[Changed]:
        """Make waiting deliveries due now; what is held or leased is left alone."""

    def hold(self, selection: Selection) -> asyncio.Future[Changed]:
        """Keep deliveries from being tried until they are let go; one that is leased ends its attempt first."""

    def let_go(self, now: float, selection: Selection) -> asyncio.Future[Changed]:
        """Have held deliveries tried again, at once."""

    def delete(self, selection: Selection) -> asyncio.Future[Changed]:
        """Forget deliveries, and messages that have none left; nobody is told. What is leased is left alone."""

    def reroute(self, now: float, selection: Selection, hop: str) -> asyncio.Future[Changed]:
        """Send deliveries to `hop` (host:port; empty: by their route again), before all others where they wait.

        What is leased is due at once when its lease ends without an end of its own.
        """

    def expire(self, now: float, selection: Selection) -> asyncio.Future[Changed]:
        """Give deliveries one last try now, after which they fail."""

    def next_due(self, avoid: Collection[str] = ()) -> asyncio.Future[float | None]:
        """When the next delivery is due, leases included; `avoid` as in `due`."""

    def waiting(self) -> asyncio.Future[int]:
        """How many deliveries there are."""

    def summary(self, now: float) -> asyncio.Future[QueueSummary]:
        """The queue in numbers."""

    def items(
        self, now: float, limit: int, selection: Selection | None = None
    ) -> asyncio.Future[tuple[QueueItem, ...]]:
        """Waiting deliveries, the next due first, held ones last."""

    def probe(self, now: float) -> asyncio.Future[None]:
        """Make one tiny durable commit, so that a caller knows whether mail can be accepted."""

    def close(self) -> None:
        """Finish what is pending and let go; afterwards every call raises SpoolError."""
