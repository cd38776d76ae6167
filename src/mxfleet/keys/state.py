"""What the ledger's facts amount to: a pure fold of entries into one view."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from mxfleet.errors import StateError
from mxfleet.fleet.secrets import Secret
from mxfleet.fleet.signing import CertificateView, DkimKey, Signing
from mxfleet.keys.facts import (
    AccountMade,
    AuthorityMade,
    Called,
    Entry,
    Issued,
    Minted,
    Moved,
    Opened,
    RecordsIntended,
    RecordsRemoved,
    RotationWished,
)
from mxfleet.keys.lifecycle import ADVERTISED, LIVE, KeyState, Material, refuse_step

Value = tuple[str, str, str]
"""A DNS value that we wrote: owner name, type, value."""

Line = tuple[str, str, str]
"""Material, owner, algorithm (for TLS any): keys of one line follow one another."""

ALGORITHMS = ("rsa", "ed25519")
"""In the order in which a message is signed and listed."""

TLS_WISH = "tls"
"""What stands for the algorithm where somebody wishes another certificate; a host has one key whatever its algorithm."""


@dataclass(frozen=True, slots=True)
class KeyView:
    """One key as of now; `since` is when it took its last step, `step` the ledger line that says so.

    `called` where nodes may have it: it is to take over from the one that signs. `drain` where it has its own.
    """

    material: Material
    owner: str
    label: str
    algorithm: str
    public: str
    spki: str
    minted: datetime
    state: KeyState
    since: datetime
    step: int = 0
    called: bool = False
    drain: int | None = None

    @property
    def id(self) -> str:
        """Its name in ledger and vault."""
        return f"{self.material}/{self.owner}/{self.label}"

    @property
    def on_nodes(self) -> bool:
        """Whether a node may have had it and its signature still counts."""
        waits = self.called and self.state in (KeyState.STANDBY, KeyState.READY)
        return waits or self.state in LIVE


@dataclass(frozen=True, slots=True)
class State:
    """The ledger's view: all keys ever minted, what is served, and by zone which DNS values are ours.

    `certificates` are those to be served, one a name; `obtained` the latest of each key (name, SPKI), served or not.
    """

    fleet: str = ""
    keys: tuple[KeyView, ...] = ()
    certificates: tuple[Issued, ...] = ()
    obtained: Mapping[tuple[str, str], Issued] = field(default_factory=dict)
    authority: AuthorityMade | None = None
    records: Mapping[str, frozenset[Value]] = field(default_factory=dict)
    wishes: frozenset[tuple[str, str]] = frozenset()
    acme_account: str = ""
    acme_directory: str = ""
    forgotten: frozenset[tuple[str, str]] = frozenset()
    """Names and SPKIs of certificates that were had before the present account was made."""
    signed: frozenset[str] = frozenset()
    """The domains that had an active DKIM key at any time."""

    def dkim(self, domain: str | None = None) -> tuple[KeyView, ...]:
        """The DKIM keys of a domain, or of all, whatever their state."""
        return tuple(
            k for k in self.keys if k.material is Material.DKIM and (domain is None or k.owner == domain)
        )

    def tls(self, name: str | None = None) -> tuple[KeyView, ...]:
        """The TLS keys of a host name, or of all, that have a life in DNS, whatever their state."""
        return tuple(k for k in self.keys if k.material is Material.TLS and name in (None, k.owner))

    def served(self, name: str) -> Issued | None:
        """The certificate that nodes shall serve under the name."""
        return next((fact for fact in self.certificates if fact.name == name), None)

    def tls_keys(self, name: str) -> tuple[tuple[str, str], ...]:
        """SHA-256 of the public keys that a host may prove itself with, now or next, each with the reason."""
        served = [(c.spki, "the key that is served") for c in self.certificates if c.name == name]
        known = {spki for spki, _ in served}
        others = [(k.spki, f"TLS key, {k.state}") for k in self.tls(name) if k.state in ADVERTISED]
        return (*served, *(pair for pair in others if pair[0] not in known))

    def siblings(self, key: KeyView) -> tuple[KeyView, ...]:
        """The other keys of the same material, owner and algorithm."""
        return tuple(k for k in self.keys if _line(k) == _line(key) and k.label != key.label)

    def signers(self) -> tuple[KeyView, ...]:
        """The DKIM keys that nodes shall sign with: of each domain and algorithm the one that became active last."""
        newest: dict[Line, KeyView] = {}
        for key in sorted(self.dkim(), key=lambda k: k.step):
            if key.state is KeyState.ACTIVE:
                newest[_line(key)] = key
        return _in_order(newest.values())

    def called(self) -> tuple[KeyView, ...]:
        """The DKIM keys that nodes shall have and not use yet."""
        return _in_order(k for k in self.dkim() if k.called and k.state in (KeyState.STANDBY, KeyState.READY))

    def signing(self) -> Signing:
        """What may be rendered to nodes: keys that sign, keys that will next, and the certificates to serve."""
        return Signing(
            dkim=tuple(_dkim(key) for key in self.signers()),
            called=tuple(_dkim(key) for key in self.called()),
            unsigned=tuple(sorted(self.signed - {key.owner for key in self.signers()})),
            certificates=tuple(_view(c) for c in self.certificates),
            authority_pem=self.authority.certificate if self.authority else "",
        )


@dataclass(slots=True)
class Fold:
    """Takes entries one by one; `state()` is the view so far. Raises StateError where a fact cannot be."""

    fleet: str = ""
    _keys: dict[str, KeyView] = field(default_factory=dict)
    _lines: dict[Line, tuple[str, ...]] = field(default_factory=dict)
    _obtained: dict[tuple[str, str], tuple[int, Issued]] = field(default_factory=dict)
    _authority: AuthorityMade | None = None
    _records: dict[str, frozenset[Value]] = field(default_factory=dict)
    _wishes: frozenset[tuple[str, str]] = frozenset()
    _account: AccountMade | None = None
    _account_made: int = 0
    _signed: frozenset[str] = frozenset()

    def add(self, entry: Entry) -> None:
        """Take one more entry."""
        fact = entry.what
        match fact:
            case Opened():
                self._open(fact)
            case Minted():
                self._mint(fact, entry)
            case Moved():
                self._move(fact, entry)
            case Called():
                self._call(fact)
            case RotationWished():
                self._wishes |= {(fact.owner, fact.algorithm)}
            case AccountMade():
                self._account, self._account_made = fact, entry.number
            case AuthorityMade():
                self._authority = fact
            case Issued():
                self._obtained[fact.name, fact.spki] = entry.number, fact
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
            dict(self._obtained),
            self._authority,
            dict(self._records),
            self._wishes,
            self._account,
            self._account_made,
            self._signed,
        )

    def state(self) -> State:
        """The view after all entries so far."""
        return State(
            fleet=self.fleet,
            keys=tuple(sorted(self._keys.values(), key=lambda k: k.id)),
            certificates=self._served(),
            obtained={key: fact for key, (_, fact) in self._obtained.items()},
            authority=self._authority,
            records={zone: values for zone, values in self._records.items() if values},
            wishes=self._wishes,
            acme_account=self._account.url if self._account else "",
            acme_directory=self._account.directory if self._account else "",
            forgotten=frozenset(
                k for k, (number, _) in self._obtained.items() if number < self._account_made
            ),
            signed=self._signed,
        )

    def _served(self) -> tuple[Issued, ...]:
        """Of each name the certificate that came into force last: with its key's turn, where that key has a life."""
        keys = {(k.owner, k.spki): k for k in self._keys.values() if k.material is Material.TLS}
        newest: dict[str, tuple[int, Issued]] = {}
        for (name, spki), (number, fact) in self._obtained.items():
            key = keys.get((name, spki))
            if key is not None and key.state is not KeyState.ACTIVE:
                continue
            since = max(number, key.step) if key else number
            if name not in newest or since > newest[name][0]:
                newest[name] = since, fact
        return tuple(newest[name][1] for name in sorted(newest))

    def _ours(self, zone: str) -> frozenset[Value]:
        return self._records.get(zone, frozenset())

    def _open(self, fact: Opened) -> None:
        if self.fleet:
            raise StateError(f"the ledger of {self.fleet!r} is opened again for {fact.fleet!r}")
        self.fleet = fact.fleet

    def _mint(self, fact: Minted, entry: Entry) -> None:
        if fact.material is Material.DKIM and fact.algorithm not in ALGORITHMS:
            raise StateError(f"selector {fact.label} of {fact.owner} has the algorithm {fact.algorithm!r}")
        key = KeyView(
            fact.material, fact.owner, fact.label, fact.algorithm, fact.public, fact.spki,
            minted=entry.at, state=KeyState.MINTED, since=entry.at, step=entry.number,
        )  # fmt: skip
        if key.id in self._keys:  # also when it was removed long ago: a selector names one key for ever
            raise StateError(f"selector {fact.label} of {fact.owner} would name a second key")
        self._keys[key.id] = key
        self._lines[_line(key)] = (*self._lines.get(_line(key), ()), key.id)

    def _move(self, fact: Moved, entry: Entry) -> None:
        key = self._known(fact.key)
        siblings = [self._keys[other].state for other in self._lines[_line(key)] if other != key.id]
        refuse_step(key.id, key.state, fact.state, siblings)
        drain = key.drain if fact.drain is None else fact.drain
        self._keys[key.id] = replace(key, state=fact.state, since=entry.at, step=entry.number, drain=drain)
        if fact.state is KeyState.ACTIVE:
            self._wishes -= {(key.owner, TLS_WISH if key.material is Material.TLS else key.algorithm)}
            self._signed |= {key.owner} if key.material is Material.DKIM else frozenset()

    def _call(self, fact: Called) -> None:
        key = self._known(fact.key)
        if key.state is not KeyState.STANDBY:
            raise StateError(f"key {key.id} is {key.state}, and only a standby key is called")
        self._keys[key.id] = replace(key, called=True)

    def _known(self, name: str) -> KeyView:
        key = self._keys.get(name)
        if key is None:
            raise StateError(f"key {name} takes a step before it was minted")
        return key


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


def _line(key: KeyView) -> Line:
    return key.material, key.owner, key.algorithm if key.material is Material.DKIM else ""


def _in_order(keys: Iterable[KeyView]) -> tuple[KeyView, ...]:
    return tuple(sorted(keys, key=lambda k: (k.owner, ALGORITHMS.index(k.algorithm), k.label)))


def _dkim(key: KeyView) -> DkimKey:
    return DkimKey(key.owner, key.label, key.algorithm, key.public, Secret(key.id))


def _view(fact: Issued) -> CertificateView:
    return CertificateView(fact.name, fact.chain, fact.fingerprint, fact.not_after, Secret(fact.secret))
