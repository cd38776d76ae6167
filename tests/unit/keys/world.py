"""A world for keys on a virtual clock: name servers that lag, nodes that fall over, commands that die anywhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from mxfleet.fleet.policy import KeyPeriods
from mxfleet.keys.facts import AnyFact, Entry, Issued, Minted, Moved, Opened
from mxfleet.keys.lifecycle import ADVERTISED, WITHDRAWN, KeyState, Material
from mxfleet.keys.sight import NodeSight
from mxfleet.keys.state import Fold, KeyView, State
from mxfleet.keys.tending import Book, Tended, tend

LIFETIME = 100
PERIODS = KeyPeriods(rotate=1000, ttl=5, visible=20, drain=110, revoked=30)
DOMAINS = ("corp.test", "shop.test")
REVOKED = "revoked"


class Died(Exception):
    """The operator's command ended here."""


@dataclass
class World:
    """`servers` hold id → text; a message signed with a key must verify until `LIFETIME` after it was signed."""

    domains: tuple[str, ...] = DOMAINS
    periods: KeyPeriods = PERIODS
    now: datetime = datetime(2026, 11, 24, 8, tzinfo=UTC)
    servers: list[dict[str, str]] = field(default_factory=lambda: [{}, {}])
    stuck: set[int] = field(default_factory=set)
    nodes_have: dict[str, dict[str, str]] = field(default_factory=lambda: {"mx1": {}, "mx2": {}, "mx3": {}})
    nodes_sign: dict[str, dict[str, str]] = field(default_factory=lambda: {"mx1": {}, "mx2": {}, "mx3": {}})
    down: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)  # unreachable for us, and signing mail all the while
    cut_in_deploy: str = ""  # the node that is lost to us when the next deploy comes to it
    used: dict[str, datetime] = field(default_factory=dict)
    folding: Fold = field(default_factory=Fold)
    entries: list[Entry] = field(default_factory=list)
    sealed: dict[str, str] = field(default_factory=dict)
    effects: int = 0
    dies_at: int | None = None
    telling: list[int] = field(default_factory=list)  # the effects of runs that did something
    minted: int = 0

    def __post_init__(self) -> None:
        self._write(Opened(fleet="lab"))

    # the ledger

    @property
    def state(self) -> State:
        return self.folding.state()

    @property
    def clock(self) -> Callable[[], datetime]:
        return lambda: self.now

    def append(self, *facts: AnyFact) -> None:
        self._perhaps_die()  # before it is on the disk
        for fact in facts:
            self._write(fact)
        self._perhaps_die()  # after it is

    def _write(self, fact: AnyFact) -> None:
        entry = Entry(number=len(self.entries) + 1, previous="", at=self.now, by="test", what=fact)
        self.folding.add(entry)
        self.entries.append(entry)

    # effects

    def nodes(self) -> tuple[NodeSight, ...]:
        return tuple(
            NodeSight(name, problem="no answer")
            if name in self.down | self.cut
            else NodeSight(
                name, self._by_name(self.nodes_have[name]), self._by_name(self.nodes_sign[name]), self.now
            )
            for name in self.nodes_have
        )

    def dissent(self, state: State) -> dict[str, tuple[str, ...]]:
        return {
            key.id: tuple(
                f"ns{number}" for number, zone in enumerate(self.servers) if zone.get(key.id) != text(key)
            )
            for key in state.dkim()
        }

    def mint(self, owner: str, algorithm: str) -> Minted:
        self._perhaps_die()
        self.minted += 1
        label = f"{algorithm[0]}{self.minted}"
        self.sealed[f"dkim/{owner}/{label}"] = f"public {label}"
        self._perhaps_die()
        return Minted(
            material=Material.DKIM, owner=owner, label=label, algorithm=algorithm,
            public=f"public {label}", spki=f"public {label}",
        )  # fmt: skip

    def certify(self, book: Book, keys: Sequence[KeyView]) -> dict[str, Issued | str]:
        return {}

    def publish(self, book: Book) -> int:
        self._perhaps_die()
        wanted = {key.id: shown for key in book.state.dkim() if (shown := text(key))}
        changed = len(set(wanted.items()) ^ set(self.servers[0].items()))
        self.servers[0] = dict(wanted)
        self.transfer()
        self._perhaps_die()  # the answer was lost
        minted = [k for k in book.state.dkim() if k.state is KeyState.MINTED]
        if minted:
            book.append(*(Moved(key=key.id, state=KeyState.PUBLISHED) for key in minted))
        return changed

    def deploy(self, nodes: Sequence[str]) -> str:
        """One node at a time; stops at the first that does not answer, as the real one does."""
        for name in self.nodes_have:
            self._perhaps_die()
            if name == self.cut_in_deploy:
                self.cut.add(name)
                self.cut_in_deploy = ""
            if name in self.down | self.cut:
                return f"{name} cannot be reached"
            signers = {key.id: key.spki for key in self.state.signers()}
            called = {key.id: key.spki for key in self.state.called()}
            assert set(signers) | set(called) <= set(self.sealed)
            self.nodes_have[name] = signers | called
            self._sign()  # the last mail before it restarts
            self.nodes_sign[name] = signers
            self._sign()
        return ""

    # what happens meanwhile

    def tend(self) -> Tended | None:
        before = self.effects
        try:
            tended = tend(self, self, self.periods, self.domains)
        except Died:
            return None
        self.telling += range(before + 1, self.effects + 1) if tended.busy else ()
        return tended

    def transfer(self) -> None:
        for number in range(1, len(self.servers)):
            if number not in self.stuck:
                self.servers[number] = dict(self.servers[0])

    def pass_time(self, seconds: float) -> None:
        self._sign()
        self.now += timedelta(seconds=seconds)
        self._sign()

    def settle(self, runs: int = 200, step: float = 5) -> None:
        """Mend everything and run until nothing moves for as long as the longest period."""
        self.stuck.clear()
        self.down.clear()
        self.cut.clear()
        self.dies_at = None
        self.cut_in_deploy = ""
        quiet = 0
        for _ in range(runs):
            self.transfer()
            tended = self.tend()
            assert tended is not None
            quiet = 0 if tended.busy else quiet + 1
            if quiet * step > 150:
                return
            self.pass_time(step)

    def _sign(self) -> None:
        """Every node that runs signs a message with everything that it has loaded."""
        for name, keys in self.nodes_sign.items():
            if name not in self.down:
                for key in keys:
                    self.used[key] = self.now

    def _perhaps_die(self) -> None:
        self.effects += 1
        if self.dies_at is not None and self.effects >= self.dies_at:
            self.dies_at = None
            raise Died

    def _by_name(self, keys: dict[str, str]) -> dict[tuple[str, str], str]:
        return {(key.split("/")[1], key.split("/")[2]): spki for key, spki in keys.items()}

    # what must hold at every instant

    def problems(self) -> list[str]:
        by_id = {key.id: key for key in self.state.dkim()}
        lost = {key for key, view in by_id.items() if self._was_compromised(key)}
        found = [
            f"{name} signs with {key}, which is not visible everywhere"
            for name, keys in self.nodes_sign.items()
            for key, has in keys.items()
            if key not in lost and any(zone.get(key) != has for zone in self.servers)
        ]
        for key, last in self.used.items():
            alive = self.now <= last + timedelta(seconds=LIFETIME)
            if alive and key not in lost and any(zone.get(key) != by_id[key].public for zone in self.servers):
                found.append(f"{key} left DNS although mail signed with it may be on its way")
        for domain in self.domains:
            for algorithm in ("rsa", "ed25519"):
                keys = [k for k in by_id.values() if (k.owner, k.algorithm) == (domain, algorithm)]
                once = any(KeyState.ACTIVE in self._states(k.id) for k in keys)
                if once and not lost and not any(k.state is KeyState.ACTIVE for k in keys):
                    found.append(f"{domain} has no active {algorithm} key")
        return found

    def _states(self, key: str) -> list[KeyState]:
        return [e.what.state for e in self.entries if isinstance(e.what, Moved) and e.what.key == key]

    def _was_compromised(self, key: str) -> bool:
        return KeyState.COMPROMISED in self._states(key)


def text(key: KeyView) -> str | None:
    """What servers shall show of a key."""
    if key.state in ADVERTISED:
        return key.public
    return REVOKED if key.state in WITHDRAWN else None
