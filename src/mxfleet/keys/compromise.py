"""A key that others may hold: who takes over, and what it costs; pure."""

from collections.abc import Collection
from dataclasses import dataclass

from mxfleet.errors import StateError
from mxfleet.keys.facts import Moved
from mxfleet.keys.lifecycle import KeyState
from mxfleet.keys.sight import Observation
from mxfleet.keys.state import KeyView, State

TAKES_OVER = (KeyState.READY, KeyState.STANDBY, KeyState.VISIBLE)
"""Every server was seen to show these, and no node has had the last two."""
KNOWN = frozenset(KeyState) - {KeyState.MINTED, KeyState.COMPROMISED, KeyState.REVOKED, KeyState.REMOVED}


@dataclass(frozen=True, slots=True)
class Compromise:
    """The facts to write, in one go, before anything is done; who takes over from whom; and what to tell people."""

    facts: tuple[Moved, ...]
    successors: tuple[tuple[KeyView, KeyView | None], ...]
    costs: tuple[str, ...]


def compromise(state: State, selectors: Collection[str], seen: Observation) -> Compromise:
    """Withdraw these keys at once; only a key that every server shows now takes over.

    Raises StateError for a selector that names no key in use.
    """
    lost = [_named(state, selector) for selector in dict.fromkeys(selectors)]
    facts = [Moved(key=key.id, state=KeyState.COMPROMISED) for key in lost]
    successors = [(key, _successor(state, key, lost, seen)) for key in lost if key in state.signers()]
    facts += [
        Moved(key=heir.id, state=KeyState.ACTIVE)
        for _, heir in successors
        if heir and heir.state is not KeyState.ACTIVE
    ]
    return Compromise(tuple(facts), tuple(successors), tuple(_costs(lost, successors)))


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


def _costs(lost: Collection[KeyView], successors: Collection[tuple[KeyView, KeyView | None]]) -> list[str]:
    costs = [
        f"mail signed with {key.label} of {key.owner} that is still on its way loses that signature "
        f"({'the other algorithm and ' if len(lost) == 1 else ''}SPF may still pass DMARC)"
        for key in lost
        if key.state in (KeyState.ACTIVE, KeyState.DRAINING)
    ]
    costs += [
        f"no spare {key.algorithm} key of {key.owner} is visible: its mail leaves without that signature "
        "until a new key is on all name servers"
        for key, heir in successors
        if heir is None
    ]
    return costs
