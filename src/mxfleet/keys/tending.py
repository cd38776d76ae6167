"""One run of key tending: look, decide, write down, then bring DNS and nodes to what is written.

Each run takes at most one step a key and can be repeated at any time, also after it died anywhere: decisions
stand in the ledger before their effect, and both effects are reconciled with the whole ledger, not with a step.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mxfleet.fleet.policy import KeyPeriods
from mxfleet.keys.facts import AnyFact, Called, Issued, Minted, Moved
from mxfleet.keys.lifecycle import KeyState, Material
from mxfleet.keys.needs import Hosts
from mxfleet.keys.renewal import ALGORITHM, renewals
from mxfleet.keys.renewal import behind as shows_another
from mxfleet.keys.rotation import Call, Certify, Decision, Mint, Step, Wait, behind, permitted
from mxfleet.keys.sight import NodeSight, Observation
from mxfleet.keys.state import KeyView, State

NO_HOSTS = Hosts()


class Book(Protocol):
    """The ledger while it is held; `mxfleet.keys.ledger.Writer` is one."""

    @property
    def state(self) -> State:
        """The view with everything appended so far."""

    @property
    def clock(self) -> Callable[[], datetime]:
        """The time that periods are counted by."""

    def append(self, *facts: AnyFact) -> None:
        """Write facts durably, or nothing of them."""


class Effects(Protocol):
    """What tending does to the world; each may fail, be repeated, and be repeated after it half succeeded."""

    def nodes(self) -> tuple[NodeSight, ...]:
        """What each node has and signs with."""

    def dissent(self, state: State) -> dict[str, tuple[str, ...]]:
        """By key id the servers that do not show what they should."""

    def mint(self, owner: str, algorithm: str) -> Minted:
        """A new key, sealed before this returns."""

    def certify(self, book: Book, keys: Sequence[KeyView]) -> Mapping[str, Issued | str]:
        """Ask the authority for a certificate for each of these TLS keys: by key id what it gave, or why not."""

    def publish(self, book: Book) -> int:
        """Bring the keys' records to what the ledger wants; says how many were changed."""

    def deploy(self, nodes: Sequence[str]) -> str:
        """Bring nodes to what the ledger wants; these are known to be behind. A sentence where it could not."""


@dataclass(frozen=True, slots=True)
class Tended:
    """What a run did and what waits; `deployed` are nodes that were behind, `trouble` what kept them so.

    `refused` says, a sentence each, why certificates were not to be had.
    """

    decision: Decision
    records: int
    deployed: tuple[str, ...]
    trouble: str
    refused: tuple[str, ...] = ()

    @property
    def busy(self) -> bool:
        """Whether anything was done, so that another run may find more to do."""
        return bool(self.decision.steps or self.records or (self.deployed and not self.trouble))


def tend(
    book: Book, effects: Effects, periods: KeyPeriods, domains: Sequence[str], hosts: Hosts = NO_HOSTS
) -> Tended:
    """One run over all keys: DKIM of these domains, TLS of these hosts."""
    book.append(*adopted(book.state, hosts))
    seen = Observation(effects.nodes(), effects.dissent(book.state))
    signing = permitted(book.state, seen, periods, book.clock(), domains)
    proving = renewals(book.state, seen, periods, book.clock(), hosts)
    decided = (*signing.steps, *proving.steps)
    asked = [step.key for step in decided if isinstance(step, Certify)]
    for step in decided:
        if not isinstance(step, Certify):
            book.append(_fact(step, effects))
    refused = certify(book, effects, asked)
    records = effects.publish(book)
    late = tuple(dict.fromkeys((*behind(book.state, seen, domains), *shows_another(book.state, seen, hosts))))
    trouble = effects.deploy(late) if late else ""
    done = tuple(s for s in decided if not (isinstance(s, Certify) and s.key.id in refused))
    waits = (*signing.waits, *proving.waits, *(Wait(k, refused[k.id]) for k in asked if k.id in refused))
    return Tended(Decision(done, waits), records, late, trouble, tuple(refused.values()))


def certify(book: Book, effects: Effects, keys: Sequence[KeyView]) -> dict[str, str]:
    """Obtain certificates and write them down; by key id why one was not to be had."""
    refused: dict[str, str] = {}
    for key, outcome in (effects.certify(book, keys) if keys else {}).items():
        if isinstance(outcome, str):
            refused[key] = outcome
        else:
            book.append(outcome)
    return refused


def adopted(state: State, hosts: Hosts) -> list[AnyFact]:
    """The facts by which a certificate that is served already (a laboratory's, or a first one brought) gets a key with a life.

    Its record, where it has one, has stood in DNS all the while.
    """
    facts: list[AnyFact] = []
    known = {(key.owner, key.spki) for key in state.tls()}
    for fact in state.certificates:
        if fact.name not in hosts.nodes or (fact.name, fact.spki) in known:
            continue
        if any(key.state is KeyState.ACTIVE for key in state.tls(fact.name)):
            continue
        if not (hosts.authority or fact.name in hosts.bound):
            continue
        label = fact.secret.rpartition("/")[2]
        facts.append(
            Minted(
                material=Material.TLS,
                owner=fact.name,
                label=label,
                algorithm=ALGORITHM,
                public="",
                spki=fact.spki,
            )
        )
        facts += [Moved(key=f"{Material.TLS}/{fact.name}/{label}", state=step) for step in _TO_ACTIVE]
    return facts


_TO_ACTIVE = (KeyState.PUBLISHED, KeyState.VISIBLE, KeyState.ACTIVE)


def _fact(step: Mint | Call | Step, effects: Effects) -> AnyFact:
    match step:
        case Mint(owner, algorithm):
            return effects.mint(owner, algorithm)
        case Call(key):
            return Called(key=key.id)
    return Moved(key=step.key.id, state=step.state)
