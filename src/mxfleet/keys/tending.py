"""One run of key tending: look, decide, write down, then bring DNS and nodes to what is written.

Each run takes at most one step a key and can be repeated at any time, also after it died anywhere: decisions
stand in the ledger before their effect, and both effects are reconciled with the whole ledger, not with a step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mxfleet.fleet.policy import KeyPeriods
from mxfleet.keys.facts import AnyFact, Called, Minted, Moved
from mxfleet.keys.rotation import Call, Decision, Mint, Permitted, behind, permitted
from mxfleet.keys.sight import NodeSight, Observation
from mxfleet.keys.state import State


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

    def publish(self, book: Book) -> int:
        """Bring the keys' records to what the ledger wants; says how many were changed."""

    def deploy(self, nodes: Sequence[str]) -> str:
        """Bring nodes to what the ledger wants; these are known to be behind. A sentence where it could not."""


@dataclass(frozen=True, slots=True)
class Tended:
    """What a run did and what waits; `deployed` are nodes that were behind, `trouble` what kept them so."""

    decision: Decision
    records: int
    deployed: tuple[str, ...]
    trouble: str

    @property
    def busy(self) -> bool:
        """Whether anything was done, so that another run may find more to do."""
        return bool(self.decision.steps or self.records or self.deployed)


def tend(book: Book, effects: Effects, periods: KeyPeriods, domains: Sequence[str]) -> Tended:
    """One run over all DKIM keys."""
    seen = Observation(effects.nodes(), effects.dissent(book.state))
    decision = permitted(book.state, seen, periods, book.clock(), domains)
    for step in decision.steps:
        book.append(_fact(step, effects))
    records = effects.publish(book)
    late = behind(book.state, seen, domains)
    trouble = effects.deploy(late) if late else ""
    return Tended(decision, records, late, trouble)


def _fact(step: Permitted, effects: Effects) -> AnyFact:
    match step:
        case Mint(owner, algorithm):
            return effects.mint(owner, algorithm)
        case Call(key):
            return Called(key=key.id)
    return Moved(key=step.key.id, state=step.state)
