"""A key that others may hold: who takes over, and what it costs; pure."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from mxfleet.errors import StateError
from mxfleet.keys.facts import Moved
from mxfleet.keys.lifecycle import LIVE, SUCCESSORS, KeyState
from mxfleet.keys.sight import Observation
from mxfleet.keys.state import KeyView, Line, State

TAKES_OVER = (KeyState.READY, KeyState.STANDBY, KeyState.VISIBLE)
"""Every server was seen to show these, and no node has had the last two."""
KNOWN = frozenset(KeyState) - {KeyState.MINTED, KeyState.COMPROMISED, KeyState.REVOKED, KeyState.REMOVED}


@dataclass(frozen=True, slots=True)
class Compromise:
    """The facts to write, in one go, before anything is done; who takes over from whom; and what to tell people.

    `lost` are the keys as they were; `missing` the lines (material, owner, algorithm) that have no key to come any
    more; `idle` says of each key that did not sign what becomes of it.
    """

    facts: tuple[Moved, ...]
    lost: tuple[KeyView, ...]
    successors: tuple[tuple[KeyView, KeyView | None], ...]
    missing: tuple[Line, ...]
    costs: tuple[str, ...]
    idle: tuple[str, ...] = ()

    @property
    def on_nodes(self) -> tuple[KeyView, ...]:
        """Those of the lost keys that may lie on a node, which is to give them up: the signing, the replaced, the called."""
        return tuple(key for key in self.lost if key.on_nodes)


def compromise(
    state: State, selectors: Collection[str], seen: Observation, *, drain: int = 0, ttl: int = 0
) -> Compromise:
    """Withdraw these keys at once; only a key that every server shows now takes over.

    With `drain` the nodes leave the key at once, but its record stays for so many seconds, for the mail that is on
    its way; `ttl` is the record's, for the telling. Raises StateError for a selector that names no key in use.
    """
    lost = [_named(state, selector) for selector in dict.fromkeys(selectors)]
    facts = [_withdrawn(key, drain) for key in lost]
    successors = [(key, _successor(state, key, lost, seen)) for key in lost if key in state.signers()]
    heirs = [heir for _, heir in successors if heir]
    facts += [
        Moved(key=heir.id, state=KeyState.ACTIVE) for heir in heirs if heir.state is not KeyState.ACTIVE
    ]
    spent = {key.id for key in (*lost, *heirs)}
    waiting = {_line(key) for key in state.keys if key.state in SUCCESSORS and key.id not in spent}
    missing = tuple(dict.fromkeys(line for key in lost if (line := _line(key)) not in waiting))
    costs = tuple(_costs(lost, successors, drain, ttl))
    idle = tuple(_idle(key) for key in lost if key not in state.signers())
    return Compromise(tuple(facts), tuple(lost), tuple(successors), missing, costs, idle)


def _withdrawn(key: KeyView, drain: int) -> Moved:
    if drain and key.state in LIVE:
        return Moved(key=key.id, state=KeyState.DRAINING, drain=drain)
    return Moved(key=key.id, state=KeyState.COMPROMISED)


def _line(key: KeyView) -> Line:
    return key.material, key.owner, key.algorithm


def _named(state: State, selector: str) -> KeyView:
    for key in state.dkim():
        if selector in (key.label, f"{key.label}._domainkey.{key.owner}"):
            if key.state in KNOWN:
                return key
            raise StateError(f"selector {selector} is {key.state}: there is nothing to withdraw")
    raise StateError(f"no key has the selector {selector}", hint="mxfleet dkim status lists them")


def _successor(state: State, key: KeyView, lost: Collection[KeyView], seen: Observation) -> KeyView | None:
    others = [other for other in state.siblings(key) if other not in lost and seen.shown(other)]
    older = [other for other in others if other.state is KeyState.ACTIVE]
    if older:
        return max(older, key=lambda k: k.step)
    waiting = [other for other in others if other.state in TAKES_OVER]
    return min(waiting, key=lambda k: TAKES_OVER.index(k.state), default=None)


def _idle(key: KeyView) -> str:
    if not key.on_nodes:
        return f"{key.owner}: {key.label} did not sign and was on no node: no node is switched"
    how = f"was replaced before and is {key.state}" if key.state in LIVE else "was on nodes, to sign next"
    return f"{key.owner}: {key.label} {how}: nodes that still have it are to give it up"


def _costs(
    lost: Collection[KeyView],
    successors: Collection[tuple[KeyView, KeyView | None]],
    drain: int,
    ttl: int,
) -> list[str]:
    spared = "" if len(lost) > 1 else "the other algorithm and "
    costs = [_cost(key, spared, drain) for key in lost if key.state in LIVE]
    if costs:
        costs.append(
            f"whoever looked a record up before it is revoked may accept forged mail for {ttl} s more (its TTL)"
        )
    costs += [
        f"no spare {key.algorithm} key of {key.owner} is visible: its mail leaves without that signature "
        "until a new key is on all name servers"
        for key, heir in successors
        if heir is None
    ]
    return costs


def _cost(key: KeyView, spared: str, drain: int) -> str:
    if drain:
        return (
            f"{key.label} of {key.owner} stays in DNS for {timedelta(seconds=drain)} after the last node has left it: "
            "until then, who has it can still sign in your name"
        )
    return (
        f"mail signed with {key.label} of {key.owner} that is still on its way loses that signature "
        f"({spared}SPF may still pass DMARC)"
    )
