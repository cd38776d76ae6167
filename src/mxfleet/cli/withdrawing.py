"""`mxfleet dkim compromise`, for real: all nodes leave the key at once, then DNS revokes it."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from mxfleet.cli.tending import Live, refused, run_until_quiet
from mxfleet.dns.publish import publish_keys
from mxfleet.errors import MxfleetError
from mxfleet.keys.compromise import Compromise, compromise
from mxfleet.keys.ledger import Writer, read_state, writing
from mxfleet.keys.lifecycle import KeyState, Material
from mxfleet.keys.needs import sending_domains
from mxfleet.keys.sight import NodeSight, Observation
from mxfleet.keys.state import KeyView

ATTEMPTS = 2
"""The second is for a node that fell over while it was told."""


@dataclass(slots=True)
class Withdrawn:
    """What was decided and what became of it; `trouble` is empty where all nodes switched and DNS revoked."""

    made: Compromise
    switched: tuple[str, ...] = ()
    seconds: float = 0.0
    minted: tuple[str, ...] = ()
    revoked: bool = False
    trouble: list[str] = field(default_factory=list)

    @property
    def bare(self) -> bool:
        """Whether mail leaves without a signature until a new key is visible."""
        return any(heir is None for _, heir in self.made.successors)

    def as_values(self) -> dict[str, Any]:
        """For --json."""
        takeover = [
            {"domain": old.owner, "from": old.label, "to": new.label if new else None}
            for old, new in self.made.successors
        ]
        return {
            "takeover": takeover, "idle": list(self.made.idle), "costs": list(self.made.costs),
            "switched": list(self.switched),
            "seconds": round(self.seconds, 1), "minted": list(self.minted), "revoked": self.revoked,
            "trouble": self.trouble,
        }  # fmt: skip


def withdraw(
    live: Live, selectors: Collection[str], drain: int, by: str, say: Callable[[str], None]
) -> Withdrawn:
    """Write down, switch all nodes at once, mint where nothing is to come, revoke; each in the ledger before it is done.

    `say` hears what it costs, before anything is done.
    """
    with writing(live.root / live.fleet.state_directory, live.clock, by, live.fleet.name) as writer:
        seen = Observation((), live.dissent(writer.state))
        ttl = live.fleet.policy.keys.ttl
        done = Withdrawn(compromise(writer.state, selectors, seen, drain=drain, ttl=ttl))
        for cost in done.made.costs:
            say(cost)
        writer.append(*done.made.facts)
        if done.made.on_nodes:
            _switch(live, done)
        _mint(live, writer, done)
        problem = refused(lambda: publish_keys(live.fleet, writer, live.providers))
        done.revoked = not problem
        done.trouble += [problem] if problem else []
    return done


def _switch(live: Live, done: Withdrawn) -> None:
    """All nodes that answer, together; then each is asked what it signs with."""
    begun = time.monotonic()
    seen: Sequence[NodeSight] = live.nodes()
    for _ in range(ATTEMPTS):
        reachable = [node for node in seen if not node.problem]
        problem = live.switch(reachable) if reachable else ""
        seen = live.nodes()
        if not problem:
            break
    done.seconds = time.monotonic() - begun
    troubles = {node.node: _still(node, done.made.on_nodes) for node in seen}
    done.switched = tuple(node for node, sentences in troubles.items() if not sentences)
    done.trouble += [problem] if problem else []
    done.trouble += [sentence for sentences in troubles.values() for sentence in sentences]


def _still(node: NodeSight, lost: Sequence[KeyView]) -> list[str]:
    if node.problem:
        return [f"{node.node} cannot be asked ({node.problem}): it may still sign with the key"]
    return [
        f"{node.node} still {'signs with' if node.signs_with(key) else 'has'} {key.label}"
        for key in lost
        if node.holds(key)
    ]


def _mint(live: Live, writer: Writer, done: Withdrawn) -> None:
    """A new key for each line that has none to come: it is published together with the revocation, which waits for none."""
    for material, owner, algorithm in done.made.missing:
        if material is Material.DKIM and any(domain.name == owner for domain in live.fleet.domains):
            try:
                fact = live.mint(owner, algorithm)
                writer.append(fact)
            except (MxfleetError, OSError) as error:
                done.trouble.append(str(error))
                return  # what keeps one from the vault keeps all
            done.minted += (fact.label,)


def until_signed(live: Live, done: Withdrawn, by: str, wait: float, say: Callable[[str], None]) -> None:
    """Take the new keys' steps for so many seconds; what is unsigned even then is trouble."""
    say(f"waiting up to {wait:.0f} s for the new key")
    try:
        trouble = run_until_quiet(live, by, wait, say).trouble
    except (MxfleetError, OSError) as error:  # what was done before must be told all the same
        trouble = str(error)
    left = [*([trouble] if trouble else []), *still_bare(live, done)]
    for sentence in left:
        say(troubling(sentence))
    done.trouble += left


def still_bare(live: Live, done: Withdrawn) -> list[str]:
    """What leaves without a signature even now, a sentence for each line of keys."""
    state = read_state(live.root / live.fleet.state_directory)
    sign = {(key.owner, key.algorithm) for key in state.signers()}
    bare = [(old.owner, old.algorithm) for old, heir in done.made.successors if heir is None]
    return [
        f"{owner} has no active {algorithm} key yet: its mail leaves "
        + ("without that signature" if any(owner == other for other, _ in sign) else "unsigned")
        for owner, algorithm in bare
        if owner in sending_domains(live.fleet) and (owner, algorithm) not in sign
    ]


def told(done: Withdrawn, drain: int) -> list[str]:
    """What was done, a sentence each."""
    lines = [*done.made.idle]
    lines += [
        f"{old.owner}: {old.label} → {new.label if new else 'nothing: unsigned by this algorithm'}"
        for old, new in done.made.successors
    ]
    if done.switched:
        lines.append(f"{', '.join(done.switched)} left it at once ({done.seconds:.1f} s)")
    elif done.made.on_nodes:
        lines.append("no node was seen to have left it")
    lines += [f"{label} is minted, to be next" for label in done.minted]
    withdrawn = any(fact.state is KeyState.COMPROMISED for fact in done.made.facts)
    if not done.revoked:
        lines.append("not revoked yet; next: mxfleet tend")
    elif withdrawn or not drain:
        lines.append("revoked in DNS")
    else:
        lines.append("not revoked before it is drained; mxfleet tend does it then")
    return [*lines, *map(troubling, done.trouble)]


def troubling(trouble: str) -> str:
    """The line that says what was not done, with the way on where it does not name its own."""
    named = "next: " in trouble or " — " in trouble
    return f"! {trouble}" if named else f"! {trouble}; next: mxfleet tend"
