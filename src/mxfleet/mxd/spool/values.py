"""The values that go into a spool and come out of it: envelopes, leases, results, and what an operator sees."""

from typing import Literal

import msgspec

from mxfleet.errors import SpoolError

CHUNK = 262_144  # octets of a body in one row; a body of any size streams in such pieces

State = Literal["waiting", "delivered", "failed"]


class SpoolFull(SpoolError):
    """There is no room: nothing was written, nothing was lost; the client is told 452 4.3.1."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was said around a message; times in seconds since the epoch, `sender` empty for the null path.

    `submitter` is the account that authenticated, empty for mail from elsewhere; `passed` says that the sender's
    domain was shown not to be forged (SPF or DMARC): only such mail, and submitted mail, may bounce. `rewritten` is
    the reverse-path for recipients in domains that are not ours, where it is another one. `notice` is 1 for a report
    of ours to a sender, 2 for one to the postmaster about a report that could not be delivered. `ret`, `envid`
    and, by recipient as it is spooled, `notify` and `orcpt` are RFC 3461's parameters as they were said.
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
    passed: bool = False
    rewritten: str = ""
    notice: int = 0
    ret: str = ""
    envid: str = ""
    notify: dict[str, str] = {}
    orcpt: dict[str, str] = {}


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


class Candidate(msgspec.Struct, frozen=True):
    """A delivery that is due; to be claimed before it is tried."""

    delivery: int
    domain: str
    sender: str


class Lease(msgspec.Struct, frozen=True):
    """The right to try one delivery until `until`; `token` fences off whoever held an earlier lease.

    `hop` is where the operator sends it instead of its route; `expires` is when it is given up; `warned` says that
    its sender was told of the delay.
    """

    delivery: int
    token: int
    until: float
    domain: str
    attempts: int
    message: StoredMessage
    recipients: tuple[Recipient, ...]
    sender: str = ""
    hop: str = ""
    expires: float = 0.0
    warned: bool = False


class Result(msgspec.Struct, frozen=True):
    """What became of one recipient in one attempt; `waiting` means try again."""

    recipient: int
    state: State
    reply: str


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Deliveries that an operator means: all that each given word fits; nothing given means all."""

    domain: str = ""
    trace: str = ""
    sender: str = ""
    recipient: str = ""
    held: bool | None = None
    owner: str = ""  # who holds the lease


class Changed(msgspec.Struct, frozen=True):
    """What an operator's verb came to: deliveries changed, and those left alone because an attempt runs."""

    changed: int
    busy: int = 0


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
    held: bool = False
    hop: str = ""
    expires: float = 0.0
    delivery: int = 0


class Reason(msgspec.Struct, frozen=True):
    """How many deliveries wait because of replies that begin alike, and one of the replies."""

    deliveries: int
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
    reasons: tuple[Reason, ...] = ()


class QueueSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The whole queue in numbers."""

    messages: int
    deliveries: int
    octets: int
    oldest: float | None
    domains: tuple[DomainSummary, ...]
