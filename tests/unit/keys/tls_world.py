"""A world for TLS keys on a virtual clock: senders that remember TLSA records, servers that lag, nodes that fall over.

What must hold: whatever TLSA records a sender may have got, from any server, at any time within the TTL, the key
that a node shows is among them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from mxfleet.fleet.policy import KeyPeriods
from mxfleet.keys.certificates import fingerprint, spki_hash
from mxfleet.keys.facts import AnyFact, Entry, Issued, Minted, Opened
from mxfleet.keys.lifecycle import ADVERTISED, KeyState, Material
from mxfleet.keys.needs import Hosts
from mxfleet.keys.sight import NodeSight
from mxfleet.keys.state import Fold, KeyView, State
from mxfleet.keys.tending import Book, Tended, tend
from tests.unit.keys.world import Died

TTL = 10
LIFE = 900
PERIODS = KeyPeriods(rotate=0, ttl=5, visible=15, drain=110, revoked=30)
MX, MX1, SUBMIT = "mx.corp.test", "mx1.corp.test", "submit.corp.test"
NODES = ("mx1", "mx2")
HOSTS = Hosts({MX: NODES, MX1: ("mx1",), SUBMIT: NODES}, bound=frozenset({MX, MX1}), ttl=TTL, authority=True)
Rrsets = dict[str, frozenset[str]]


@dataclass
class TlsWorld:
    """`servers` hold name → TLSA values; `remembered` all that a sender may still have in its cache."""

    now: datetime = datetime(2026, 11, 24, 8, tzinfo=UTC)
    servers: list[Rrsets] = field(default_factory=lambda: [{}, {}])
    remembered: list[tuple[datetime, Rrsets]] = field(default_factory=list)
    stuck: set[int] = field(default_factory=set)
    serve: dict[str, dict[str, str]] = field(default_factory=lambda: {name: {} for name in NODES})
    down: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    refusing: bool = False
    ordered: list[str] = field(default_factory=list)
    folding: Fold = field(default_factory=Fold)
    entries: list[Entry] = field(default_factory=list)
    sealed: dict[str, x509.Certificate] = field(default_factory=dict)
    private: dict[str, EllipticCurvePrivateKey] = field(default_factory=dict)
    effects: int = 0
    dies_at: int | None = None
    telling: list[int] = field(default_factory=list)  # the effects of runs that did something

    def __post_init__(self) -> None:
        self._write(Opened(fleet="lab"))

    @property
    def state(self) -> State:
        return self.folding.state()

    @property
    def clock(self) -> Callable[[], datetime]:
        return lambda: self.now

    def append(self, *facts: AnyFact) -> None:
        self._perhaps_die()
        for fact in facts:
            self._write(fact)
        self._perhaps_die()

    def _write(self, fact: AnyFact) -> None:
        entry = Entry(number=len(self.entries) + 1, previous="", at=self.now, by="test", what=fact)
        self.folding.add(entry)
        self.entries.append(entry)

    def nodes(self) -> tuple[NodeSight, ...]:
        known = {fact.spki: fact.fingerprint for fact in self.state.obtained.values()}
        return tuple(
            NodeSight(name, problem="no answer")
            if name in self.down | self.cut
            else NodeSight(
                name,
                serving={host: (known[spki], spki) for host, spki in self.serve[name].items()},
                chains={host: (known[spki], spki) for host, spki in self.serve[name].items()},
                clock=self.now,
            )
            for name in NODES
        )

    def dissent(self, state: State) -> dict[str, tuple[str, ...]]:
        return {
            key.id: tuple(
                f"ns{number}"
                for number, zone in enumerate(self.servers)
                if key.owner in HOSTS.bound
                and (key.spki in zone.get(key.owner, frozenset())) != (key.state in ADVERTISED)
            )
            for key in state.tls()
        }

    def mint(self, owner: str, algorithm: str) -> Minted:
        self._perhaps_die()
        key = generate_private_key(SECP256R1())
        name = x509.Name([])
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(self.now)
            .not_valid_after(self.now + timedelta(days=1))
            .sign(key, SHA256())
        )
        spki = spki_hash(certificate)
        self.sealed[f"tls/{owner}/p{spki[:6]}"] = certificate
        self.private[spki] = key
        self._perhaps_die()
        return Minted(
            material=Material.TLS,
            owner=owner,
            label=f"p{spki[:6]}",
            algorithm=algorithm,
            public="",
            spki=spki,
        )

    def certify(self, book: Book, keys: Sequence[KeyView]) -> Mapping[str, Issued | str]:
        self._perhaps_die()
        if self.refusing:
            return {key.id: "rate limited" for key in keys}
        self.ordered += [key.id for key in keys]
        outcome = {key.id: self._issue(key) for key in keys}
        self._perhaps_die()  # the answer was lost
        return outcome

    def _issue(self, key: KeyView) -> Issued:
        private, name = self.private[key.spki], x509.Name([])
        certificate = (
            x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
            .not_valid_before(self.now)
            .not_valid_after(self.now + timedelta(seconds=LIFE))
            .sign(private, SHA256())
        )
        return Issued(
            name=key.owner, chain=certificate.public_bytes(Encoding.PEM).decode(), fingerprint=fingerprint(certificate),
            spki=key.spki, not_after=certificate.not_valid_after_utc, secret=key.id, issuer="acme",
        )  # fmt: skip

    def publish(self, book: Book) -> int:
        self._perhaps_die()
        wanted = {name: frozenset(spki for spki, _ in book.state.tls_keys(name)) for name in HOSTS.bound}
        changed = int(wanted != self.servers[0])
        self.servers[0] = wanted
        self.transfer()
        self._perhaps_die()
        return changed

    def deploy(self, nodes: Sequence[str]) -> str:
        for name in NODES:
            self._perhaps_die()
            if name in self.down | self.cut:
                return f"{name} cannot be reached"
            self.serve[name] = {
                fact.name: fact.spki for fact in self.state.certificates if name in HOSTS.nodes[fact.name]
            }
        return ""

    # what happens meanwhile

    def tend(self) -> Tended | None:
        before = self.effects
        try:
            tended = tend(self, self, PERIODS, (), HOSTS)
        except Died:
            return None
        self.telling += range(before + 1, self.effects + 1) if tended.busy else ()
        return tended

    def transfer(self) -> None:
        for number in range(1, len(self.servers)):
            if number not in self.stuck:
                self.servers[number] = dict(self.servers[0])
        self._remember()

    def _remember(self) -> None:
        self.remembered += [(self.now, dict(zone)) for zone in self.servers]

    def pass_time(self, seconds: float) -> None:
        self._remember()
        self.now += timedelta(seconds=seconds)
        fresh = self.now - timedelta(seconds=TTL)
        self.remembered = [(at, zone) for at, zone in self.remembered if at >= fresh]
        self._remember()

    def settle(self, runs: int = 60, step: float = 5) -> None:
        self.stuck.clear()
        self.down.clear()
        self.cut.clear()
        self.dies_at, self.refusing = None, False
        quiet = 0
        for _ in range(runs):
            self.transfer()
            tended = self.tend()
            assert tended is not None
            quiet = 0 if tended.busy else quiet + 1
            if quiet * step > 60:
                return
            self.pass_time(step)

    def _perhaps_die(self) -> None:
        self.effects += 1
        if self.dies_at is not None and self.effects >= self.dies_at:
            self.dies_at = None
            raise Died

    def problems(self) -> list[str]:
        found = []
        for node, names in self.serve.items():
            for name, spki in names.items():
                for at, zone in self.remembered:
                    values = zone.get(name, frozenset())
                    if node not in self.down and values and spki not in values:
                        found.append(
                            f"{node} shows {spki[:6]} for {name}; a sender remembers others of {at:%H:%M:%S}"
                        )
        return found


def states(world: TlsWorld, name: str = MX) -> list[str]:
    keys = sorted(world.state.tls(name), key=lambda key: (key.minted, key.step))
    return sorted(str(key.state) for key in keys)


def key_in(world: TlsWorld, state: KeyState, name: str = MX) -> KeyView:
    [key] = [key for key in world.state.tls(name) if key.state is state]
    return key
