"""What a ledger line can say: one frozen type a fact, strict when read; none holds a secret."""

from datetime import datetime

import msgspec

from mxfleet.keys.lifecycle import KeyState, Material


class Fact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="fact"):
    """Base of all facts."""


class Opened(Fact, frozen=True, tag="opened"):
    """The first line: whose ledger this is."""

    fleet: str


class Minted(Fact, frozen=True, tag="minted"):
    """A key exists and its private half is sealed in the vault as `<material>/<owner>/<label>`.

    `owner` is the domain; `label` the selector, which names this key for ever; `public` the text of the
    record's `p=`; `spki` the SHA-256 (hex) of the SubjectPublicKeyInfo.
    """

    material: Material
    owner: str
    label: str
    algorithm: str
    public: str
    spki: str


class Moved(Fact, frozen=True, omit_defaults=True, tag="moved"):
    """A key took one step of its life; `key` is `<material>/<owner>/<label>`.

    `drain` is how long, in seconds, this key drains, where that is not what the policy says of all.
    """

    key: str
    state: KeyState
    drain: int | None = None


class Called(Fact, frozen=True, tag="called"):
    """A standby key is to take over: from here on its private half may be installed on nodes, not yet used."""

    key: str


class RotationWished(Fact, frozen=True, tag="rotation-wished"):
    """Somebody wants the owner's key of this algorithm replaced as soon as may be; done when the next is active."""

    owner: str
    algorithm: str


class AuthorityMade(Fact, frozen=True, tag="authority"):
    """A laboratory's own certificate authority: its certificate (PEM) and where its key is in the vault."""

    certificate: str
    fingerprint: str
    not_after: datetime
    secret: str


class Issued(Fact, frozen=True, tag="issued"):
    """A certificate is to be served for `name` from now on, instead of any earlier one.

    `chain` is PEM, leaf first; `fingerprint` and `spki` SHA-256 in hex; `issuer` is `authority` or `import`.
    """

    name: str
    chain: str
    fingerprint: str
    spki: str
    not_after: datetime
    secret: str
    issuer: str


class AccountMade(Fact, frozen=True, tag="acme-account"):
    """An ACME account exists: its URL (RFC 8555 §7.3), and the directory that gave it; its key is in the vault."""

    directory: str
    url: str


class RecordsIntended(Fact, frozen=True, tag="records-intended"):
    """These values are about to be written to or removed from a zone; written before it is touched.

    Each is (owner name, type, value); from here on `creates` are ours.
    """

    zone: str
    creates: tuple[tuple[str, str, str], ...] = ()
    deletes: tuple[tuple[str, str, str], ...] = ()


class RecordsRemoved(Fact, frozen=True, tag="records-removed"):
    """The zone no longer holds these values: they are not ours any more."""

    zone: str
    values: tuple[tuple[str, str, str], ...]


AnyFact = (
    Opened
    | Minted
    | Moved
    | Called
    | RotationWished
    | AuthorityMade
    | AccountMade
    | Issued
    | RecordsIntended
    | RecordsRemoved
)


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line: its number (from 1), the SHA-256 of the line before, when, by which command, and the fact."""

    number: int
    previous: str
    at: datetime
    by: str
    what: AnyFact
