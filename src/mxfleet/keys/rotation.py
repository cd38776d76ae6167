"""Which steps keys may take now: one pure function of the ledger, what was seen, the policy and the time.

It is asked anew in each run and knows nothing of earlier ones but what stands in the ledger, so a run may die
anywhere and be repeated at any time. What it rests on:

- Nodes sign with the key that became active last. The one before stays active in the ledger, and in DNS, until
  every node was asked and none signs with it: demotion is seen, never assumed, and never a timer of its own.
- A key is taken up only while every server shows it and every node has it, and is withdrawn only when the drain
  has passed since the last node was seen to have left it.
- A domain's two algorithms are never in motion together, so that one signature is always a proven one.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

from mxfleet.fleet.policy import KeyPeriods
from mxfleet.keys.lifecycle import SUCCESSORS, KeyState
from mxfleet.keys.sight import CLOCKS_AGREE, NodeSight, Observation
from mxfleet.keys.state import ALGORITHMS, KeyView, State

S = KeyState


@dataclass(frozen=True, slots=True)
class Mint:
    """The owner needs a key of this algorithm: its first, or the spare that waits behind the one that signs."""

    owner: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class Call:
    """The standby key is to take over: nodes get it now, and use it later."""

    key: KeyView


@dataclass(frozen=True, slots=True)
class Step:
    """The key's next state."""

    key: KeyView
    state: KeyState


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a key stays where it is; `until` where it is only a matter of time."""

    key: KeyView
    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Certify:
    """A certificate is to be obtained for this TLS key."""

    key: KeyView


Permitted = Mint | Call | Step | Certify


@dataclass(frozen=True, slots=True)
class Decision:
    """What may be done now, at most one step a key, and what keeps the others."""

    steps: tuple[Permitted, ...]
    waits: tuple[Wait, ...]


def permitted(
    state: State, seen: Observation, periods: KeyPeriods, now: datetime, domains: Sequence[str]
) -> Decision:
    """The decision for all DKIM keys; `domains` are those that the fleet signs for."""
    steps: list[Permitted] = []
    waits: list[Wait] = []
    owners = dict.fromkeys((*domains, *(key.owner for key in state.dkim())))
    for owner in owners:
        moving = False
        for algorithm in ALGORITHMS:
            case = Case(state, seen, periods, now, owner, algorithm, owner in domains, moving)
            for item in case.decide():
                (waits if isinstance(item, Wait) else steps).append(item)  # type: ignore[arg-type]
                moving = moving or isinstance(item, Call)
    return Decision(tuple(steps), tuple(waits))


def clocks_disagree(seen: Observation, now: datetime) -> str:
    """Why no period can be trusted now; empty where the nodes that answered have our time."""
    clocks = [(node.node, node.clock) for node in seen.nodes if node.clock]
    if not clocks:
        problems = "; ".join(f"{node.node}: {node.problem}" for node in seen.nodes)
        return (
            f"no node could be asked for the time ({problems})"
            if problems
            else "no node was asked for the time"
        )
    for node, clock in clocks:
        if abs((now - clock).total_seconds()) > CLOCKS_AGREE:
            return f"the clocks differ: here it is {now:%Y-%m-%d %H:%M:%S} UTC, on {node} {clock:%Y-%m-%d %H:%M:%S} UTC"
    return ""


@dataclass(slots=True)
class Case:
    """The keys of one owner and algorithm; `renewal` has the same for a host's TLS keys."""

    state: State
    seen: Observation
    periods: KeyPeriods
    now: datetime
    owner: str
    algorithm: str
    wanted: bool
    moving: bool
    _using: ClassVar[str] = "signs with it"
    keys: tuple[KeyView, ...] = field(init=False)
    current: KeyView | None = field(init=False)

    def __post_init__(self) -> None:
        self.keys = tuple(k for k in self.state.dkim(self.owner) if k.algorithm == self.algorithm)
        signers = [k for k in self.state.signers() if (k.owner, k.algorithm) == (self.owner, self.algorithm)]
        self.current = signers[0] if signers else None

    def decide(self) -> Iterator[Permitted | Wait]:
        if self.wanted and not any(key.state in SUCCESSORS for key in self.keys):
            yield Mint(self.owner, self.algorithm)
        for key in self.keys:
            if key.state is not S.REMOVED:
                yield from self._next(key)

    def _next(self, key: KeyView) -> Iterator[Permitted | Wait]:
        if key.state in SUCCESSORS and not self.wanted:
            yield Step(key, S.REMOVED)  # it never signed, and the fleet has no such domain any more
            return
        match key.state:
            case S.MINTED | S.PUBLISHED:
                following = S.PUBLISHED if key.state is S.MINTED else S.VISIBLE
                yield Step(key, following) if self.seen.shown(key) else self._unseen(key)
            case S.VISIBLE | S.STANDBY | S.READY:
                yield from self._successor(key)
            case S.ACTIVE:
                yield from self._active(key)
            case S.DRAINING:
                yield from self._draining(key)
            case S.COMPROMISED:
                yield Step(key, S.REVOKED) if self.seen.shown(key) else self._unseen(key)
            case S.REVOKED:
                if not self.seen.shown(key):
                    yield self._unseen(key)
                else:
                    yield self._after(key, self.periods.revoked, Step(key, S.REMOVED))

    def _successor(self, key: KeyView) -> Iterator[Permitted | Wait]:
        if not self.seen.shown(key):
            yield Step(key, S.PUBLISHED)  # the clock begins anew once all agree again
        elif self.current is None:
            yield Step(key, S.ACTIVE)
        elif key.state is S.VISIBLE:
            yield self._after(key, self.periods.visible, Step(key, S.STANDBY))
        elif key.state is S.STANDBY and not key.called:
            yield self._due(key)
        elif reason := self._nodes(lambda node: node.has(key), "does not have the key yet"):
            yield Wait(key, reason)
        else:
            yield Step(key, S.READY if key.state is S.STANDBY else S.ACTIVE)

    def _due(self, key: KeyView) -> Permitted | Wait:
        """Whether a standby key is to be called: somebody wishes it or it is time, and the other algorithm rests."""
        if self.current and (self.owner, self.algorithm) not in self.state.wishes:
            if not self.periods.rotate:
                return Wait(key, "spare; mxfleet dkim rotate")
            timed = self._elapsed(self.current.since, self.periods.rotate)
            if isinstance(timed, datetime):
                return Wait(key, "spare", timed)
            if timed:
                return Wait(key, timed)
        if reason := self._in_motion():
            return Wait(key, reason)
        return Call(key)

    def _in_motion(self) -> str:
        """Whether this domain's other algorithm changes now, or changed so lately that it is not proven."""
        if self.moving:
            return "the domain's other algorithm goes first"
        for other in self.state.dkim(self.owner):
            if other.algorithm == self.algorithm:
                continue
            if other.called and other.state in (S.STANDBY, S.READY):
                return f"{other.label} is being taken up first"
            if other.state is S.ACTIVE and other not in self.state.signers():
                return f"nodes are still leaving {other.label}"
            if other.state is S.ACTIVE and self._elapsed(other.since, self.periods.visible):
                return f"{other.label} has only just been taken up"
        return ""

    def _active(self, key: KeyView) -> Iterator[Permitted | Wait]:
        replaced = self.current is not None and self.current.id != key.id
        if not self.seen.shown(key):
            yield self._unseen(key)
        if not replaced and self.wanted:
            return
        if reason := self._nodes(lambda node: not self._uses(node, key), self._using):
            yield Wait(key, reason)
        else:
            yield Step(key, S.DRAINING)

    def _draining(self, key: KeyView) -> Iterator[Permitted | Wait]:
        if any(self._uses(node, key) for node in self.seen.nodes):
            yield Step(key, S.DRAINING)  # counted anew from now
        elif reason := self._nodes(lambda node: not self._uses(node, key), self._using):
            yield Wait(key, reason)
        else:
            drain = self.periods.drain if key.drain is None else key.drain
            yield self._after(key, drain, Step(key, S.REVOKED))

    def _uses(self, node: NodeSight, key: KeyView) -> bool:
        return node.signs_with(key)

    def _nodes(self, holds: Callable[[NodeSight], bool], otherwise: str) -> str:
        """Why not every node was seen to pass; empty where each did."""
        if not self.seen.nodes:
            return "no node was asked"
        silent = [f"{node.node} cannot be asked ({node.problem})" for node in self.seen.nodes if node.problem]
        failing = [
            f"{node.node} {otherwise}" for node in self.seen.nodes if not node.problem and not holds(node)
        ]
        return "; ".join(silent + failing)

    def _after(self, key: KeyView, seconds: int, step: Step) -> Permitted | Wait:
        match self._elapsed(key.since, seconds):
            case datetime() as until:
                return Wait(key, f"{step.state} then", until)
            case "":
                return step
            case reason:
                return Wait(key, reason)

    def _elapsed(self, since: datetime, seconds: int) -> datetime | str:
        """When the period ends; a reason why it cannot be told; or nothing: it has ended."""
        until = since + timedelta(seconds=seconds)
        return until if self.now < until else clocks_disagree(self.seen, self.now)

    def _unseen(self, key: KeyView) -> Wait:
        return Wait(key, "; ".join(self.seen.dissent.get(key.id, ("no server was asked",))))


def behind(state: State, seen: Observation, domains: Collection[str]) -> tuple[str, ...]:
    """The nodes that answered and hold or sign with something else than the ledger says."""
    signers = {(k.owner, k.label): k.spki for k in state.signers() if k.owner in domains}
    called = {(k.owner, k.label): k.spki for k in state.called() if k.owner in domains}
    return tuple(
        node.node
        for node in seen.nodes
        if not node.problem and (dict(node.signing) != signers or dict(node.installed) != signers | called)
    )
