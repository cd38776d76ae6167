"""What the ledger's facts amount to: a pure fold of entries into one view."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from mxfleet.errors import StateError
from mxfleet.fleet.secrets import Secret
from mxfleet.fleet.signing import CertificateView, DkimKey, Signing
from mxfleet.keys.facts import (
    AuthorityMade,
    Entry,
    Issued,
    Minted,
    Moved,
    Opened,
    RecordsIntended,
    RecordsRemoved,
)
from mxfleet.keys.lifecycle import KeyState, Material, refuse_step

Value = tuple[str, str, str]
"""A DNS value that we wrote: owner name, type, value."""

ALGORITHMS = ("rsa", "ed25519")
"""In the order in which a message is signed and listed."""


@dataclass(frozen=True, slots=True)
class KeyView:
    """One key as of now; `since` is when it took its last step."""

    material: Material
    owner: str
    label: str
    algorithm: str
    public: str
    spki: str
    minted: datetime
    state: KeyState
    since: datetime

    @property
    def id(self) -> str:
        """Its name in ledger and vault."""
        return f"{self.material}/{self.owner}/{self.label}"


@dataclass(frozen=True, slots=True)
class State:
    """The ledger's view: all keys ever minted, what is served, and by zone which DNS values are ours."""

    fleet: str = ""
    keys: tuple[KeyView, ...] = ()
    certificates: tuple[Issued, ...] = ()
    authority: AuthorityMade | None = None
    records: Mapping[str, frozenset[Value]] = field(default_factory=dict)

    def dkim(self, domain: str | None = None) -> tuple[KeyView, ...]:
        """The DKIM keys of a domain, or of all, whatever their state."""
        return tuple(
            k for k in self.keys if k.material is Material.DKIM and (domain is None or k.owner == domain)
        )

    def siblings(self, key: KeyView) -> tuple[KeyView, ...]:
        """The other keys of the same material, owner and algorithm."""
        return tuple(k for k in self.keys if _line(k) == _line(key) and k.label != key.label)

    def signing(self) -> Signing:
        """What may be rendered to nodes: active DKIM keys and the certificates to serve."""
        active = sorted(
            (k for k in self.dkim() if k.state is KeyState.ACTIVE),
            key=lambda k: (k.owner, ALGORITHMS.index(k.algorithm), k.label),
        )
        return Signing(
            dkim=tuple(DkimKey(k.owner, k.label, k.algorithm, k.public, Secret(k.id)) for k in active),
            certificates=tuple(_view(c) for c in self.certificates),
            authority_pem=self.authority.certificate if self.authority else "",
        )


@dataclass(slots=True)
class Fold:
    """Takes entries one by one; `state()` is the view so far. Raises StateError where a fact cannot be."""

    fleet: str = ""
    _keys: dict[str, KeyView] = field(default_factory=dict)
    _lines: dict[tuple[str, str, str], tuple[str, ...]] = field(default_factory=dict)
    _certificates: dict[str, Issued] = field(default_factory=dict)
    _authority: AuthorityMade | None = None
    _records: dict[str, frozenset[Value]] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Take one more entry."""
        fact = entry.what
        match fact:
            case Opened():
                self._open(fact)
            case Minted():
                self._mint(fact, entry.at)
            case Moved():
                self._move(fact, entry.at)
            case AuthorityMade():
                self._authority = fact
            case Issued():
                self._certificates[fact.name] = fact
            case RecordsIntended():
                self._records[fact.zone] = self._ours(fact.zone) | set(fact.creates)
            case RecordsRemoved():
                self._records[fact.zone] = self._ours(fact.zone) - set(fact.values)

    def copy(self) -> "Fold":
        """One that can go on by itself."""
        return Fold(
            self.fleet,
            dict(self._keys),
            dict(self._lines),
            dict(self._certificates),
            self._authority,
            dict(self._records),
        )

    def state(self) -> State:
        """The view after all entries so far."""
        return State(
            fleet=self.fleet,
            keys=tuple(sorted(self._keys.values(), key=lambda k: k.id)),
            certificates=tuple(self._certificates[name] for name in sorted(self._certificates)),
            authority=self._authority,
            records={zone: values for zone, values in self._records.items() if values},
        )

    def _ours(self, zone: str) -> frozenset[Value]:
        return self._records.get(zone, frozenset())

    def _open(self, fact: Opened) -> None:
        if self.fleet:
            raise StateError(f"the ledger of {self.fleet!r} is opened again for {fact.fleet!r}")
        self.fleet = fact.fleet

    def _mint(self, fact: Minted, at: datetime) -> None:
        if fact.material is Material.DKIM and fact.algorithm not in ALGORITHMS:
            raise StateError(f"selector {fact.label} of {fact.owner} has the algorithm {fact.algorithm!r}")
        key = KeyView(
            fact.material, fact.owner, fact.label, fact.algorithm, fact.public, fact.spki,
            minted=at, state=KeyState.MINTED, since=at,
        )  # fmt: skip
        if key.id in self._keys:  # also when it was removed long ago: a selector names one key for ever
            raise StateError(f"selector {fact.label} of {fact.owner} would name a second key")
        self._keys[key.id] = key
        self._lines[_line(key)] = (*self._lines.get(_line(key), ()), key.id)

    def _move(self, fact: Moved, at: datetime) -> None:
        key = self._keys.get(fact.key)
        if key is None:
            raise StateError(f"key {fact.key} takes a step before it was minted")
        siblings = [self._keys[other].state for other in self._lines[_line(key)] if other != key.id]
        refuse_step(key.id, key.state, fact.state, siblings)
        self._keys[key.id] = replace(key, state=fact.state, since=at)


def fold(entries: Iterable[Entry]) -> State:
    """The view after these entries; raises StateError with the line's number."""
    return fold_all(entries).state()


def fold_all(entries: Iterable[Entry]) -> Fold:
    """As `fold`, but able to take more."""
    folding = Fold()
    for entry in entries:
        try:
            folding.add(entry)
        except StateError as error:
            raise StateError(f"ledger line {entry.number}: {error.message}", hint=error.hint) from error
    return folding


def _line(key: KeyView) -> tuple[str, str, str]:
    return key.material, key.owner, key.algorithm


def _view(fact: Issued) -> CertificateView:
    return CertificateView(fact.name, fact.chain, fact.fingerprint, fact.not_after, Secret(fact.secret))
