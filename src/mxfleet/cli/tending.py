"""Tending keys for real: nodes by ssh, name servers by question, the zones by their providers, deploys by pyinfra."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mxfleet.cli.looking import look_at_nodes
from mxfleet.dns.providers.protocol import Provider
from mxfleet.errors import DeployError, DnsError, StateMissing
from mxfleet.fleet import Fleet
from mxfleet.keys.facts import Issued, Minted
from mxfleet.keys.ledger import Clock, Writer, read_state, wall_clock, writing
from mxfleet.keys.lifecycle import WITHDRAWN, KeyState
from mxfleet.keys.needs import sending_domains
from mxfleet.keys.renewal import ALGORITHM
from mxfleet.keys.rotation import Call, Certify, Mint, Permitted, Wait, behind
from mxfleet.keys.sight import NodeSight, Observation
from mxfleet.keys.state import KeyView, State
from mxfleet.keys.tending import Book, Tended, tend
from mxfleet.keys.vault import Vault

AGAIN = "next: systemctl restart mxd nginx, on one node after the other"
PAUSE = 1.0
PATIENCE = 30.0


@dataclass(slots=True)
class Live:
    """The effects of tending on a real fleet.

    `urgent`: where a deploy is refused, DKIM keys go to nodes without it.
    """

    fleet: Fleet
    inventory: Path
    root: Path
    vault: Vault
    providers: dict[str, Provider]
    clock: Clock = wall_clock
    deploys: bool = True
    urgent: bool = False
    seen: tuple[NodeSight, ...] = ()

    @classmethod
    def of(cls, fleet: Fleet, inventory: Path, root: Path, *, deploys: bool = True) -> "Live":
        """With the credentials that the fleet names; raises StateMissing where one is not there."""
        from mxfleet.dns.publish import providers_for

        vault = Vault.of(fleet, root)
        providers = providers_for(fleet, vault, os.environ, root)
        return cls(fleet, inventory, root, vault, providers, deploys=deploys)

    def nodes(self) -> tuple[NodeSight, ...]:
        """All nodes at once."""
        self.seen = look_at_nodes(self.fleet, read_state(self.root / self.fleet.state_directory))
        return self.seen

    def dissent(self, state: State) -> dict[str, tuple[str, ...]]:
        """Every address of every authoritative server."""
        from mxfleet.dns.key_sights import dissent

        return dissent(self.fleet, state)

    def mint(self, owner: str, algorithm: str) -> Minted:
        """Sealed in the vault before it is named."""
        from mxfleet.keys import tls
        from mxfleet.keys.dkim import mint_sealed

        if algorithm == ALGORITHM:
            return tls.mint_sealed(self.vault, owner, self.clock())

        return mint_sealed(self.vault, owner, algorithm, self.clock())

    def certify(self, book: Book, keys: Sequence[KeyView]) -> Mapping[str, Issued | str]:
        """By ACME, with proofs in the fleet's zones."""
        from mxfleet.cli.certifying import certify

        if not isinstance(book, Writer):
            raise TypeError("proofs are published on the strength of the ledger on disk")
        return certify(self.fleet, self.vault, book, self.providers, keys, self.root)

    def publish(self, book: Book) -> int:
        """Keys' records only."""
        from mxfleet.dns.publish import publish_keys

        if not isinstance(book, Writer):
            raise TypeError("records are written on the strength of the ledger on disk")
        return publish_keys(self.fleet, book, self.providers)

    def deploy(self, nodes: Sequence[str]) -> str:
        """A deploy without the nodes that cannot be reached; refused where it would change more than keys.

        Where it is refused, or stops half-way, keys that are in other hands are taken from nodes all the same.
        """
        if not self.deploys:
            return f"{', '.join(nodes)}: not what the ledger says; next: mxfleet deploy"
        from mxfleet.cli.deploy import run

        away = [node.node for node in self.seen if node.problem]
        try:
            if hindrance := self._hindrance(nodes, away):
                return self._keys_alone(nodes, hindrance)
            narration = run(self.fleet, self.inventory, away, quiet=True)
        except (DeployError, StateMissing) as error:
            return self._keys_alone(nodes, error.message)
        if not narration.failed:
            return ""
        self.nodes()  # some were brought along, and those behind the sick one were not
        late = self._to_switch(nodes)
        problem = self.switch(late) if late else ""
        return "; ".join(filter(None, (narration.error().message, problem)))

    def switch(self, nodes: Sequence[NodeSight]) -> str:
        """These nodes' DKIM keys, at once and alone; a sentence where it could not be done."""
        from mxfleet.cli.switching import switch

        return switch(self.fleet, self.vault, self.root, nodes)

    def _hindrance(self, nodes: Sequence[str], away: Sequence[str]) -> str:
        """Why no deploy for the sake of keys may be made; raises as `compare` does."""
        from mxfleet.cli.drift import compare, included

        found = compare(self.fleet, included(self.fleet, away))
        if others := [(name, d) for name, items in found.items() for d in items if not d.keys]:
            name, other = others[0]
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            return f"{name} differs in more than keys ({other}{more}); next: mxfleet drift, mxfleet deploy"
        if not any(found.values()):
            return f"{', '.join(nodes)}: nothing differs, and yet not what the ledger says; {AGAIN}"
        return ""

    def _keys_alone(self, nodes: Sequence[str], hindrance: str) -> str:
        """What can be done in spite of it; the hindrance, unless these nodes then have exactly the ledger's DKIM keys."""
        late = self._to_switch(nodes)
        if problem := self.switch(late) if late else "":
            return problem
        if not (self.urgent and late):
            return hindrance
        self.nodes()
        unsure = {*self._unlike(), *(node.node for node in self.seen if node.problem)}
        return hindrance if unsure & {*nodes} else ""

    def _to_switch(self, nodes: Sequence[str]) -> list[NodeSight]:
        """Of these nodes those that have a key that may be in other hands; where it is urgent, all with the wrong DKIM keys."""
        state, unlike = read_state(self.root / self.fleet.state_directory), self._unlike()
        lost = [key for key in state.dkim() if _lost(key)]
        late = [node for node in self.seen if node.node in nodes and node.node in unlike]
        return [node for node in late if self.urgent or any(node.holds(key) for key in lost)]

    def _unlike(self) -> tuple[str, ...]:
        """The nodes that were seen with other DKIM keys than the ledger's."""
        state = read_state(self.root / self.fleet.state_directory)
        return behind(state, Observation(self.seen), sending_domains(self.fleet))


def _lost(key: KeyView) -> bool:
    """Whether no node may have the key any more: not even for the drain, which is then of its record alone."""
    drained = key.state is KeyState.DRAINING and key.drain is not None
    return drained or key.state in WITHDRAWN | {KeyState.REMOVED}


def run_once(live: Live, by: str) -> Tended:
    """One run, with the ledger held."""
    from mxfleet.keys.needs import hosts_of

    with writing(live.root / live.fleet.state_directory, live.clock, by, live.fleet.name) as writer:
        domains, hosts = sending_domains(live.fleet), hosts_of(live.fleet)
        return tend(writer, live, live.fleet.policy.keys, domains, hosts)


def run_until_quiet(
    live: Live,
    by: str,
    seconds: float,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Tended:
    """Runs until nothing more can be done within `seconds`; the last one's result."""
    end = time.monotonic() + seconds
    while True:
        tended = run_once(live, by)
        for sentence in done(tended):
            say(sentence)
        left = end - time.monotonic()
        soon = [w for w in tended.decision.waits if not w.until or _seconds(w.until, live.clock()) <= left]
        if left <= 0 or tended.refused or not (tended.busy or soon):
            return tended
        sleep(0 if tended.busy else min(PAUSE, left))


def done(tended: Tended) -> Iterator[str]:
    """What a run did, a sentence each."""
    yield from (_step(step) for step in tended.decision.steps)
    if tended.records:
        yield f"{tended.records} key records changed in DNS"
    if tended.deployed:
        yield tended.trouble or f"keys brought to {', '.join(tended.deployed)}"


def waiting(tended: Tended, now: datetime) -> list[str]:
    """What keeps keys where they are, a sentence each."""
    return [_wait(wait, now) for wait in tended.decision.waits]


def stuck(tended: Tended) -> bool:
    """Whether something other than time, and the spares that rest, keeps a key from its next step."""
    return bool(tended.trouble) or any(
        wait.until is None and not wait.reason.startswith("spare") for wait in tended.decision.waits
    )


def as_values(tended: Tended) -> dict[str, Any]:
    """For --json."""
    return {
        "done": list(done(tended)),
        "records": tended.records,
        "deployed": list(tended.deployed),
        "trouble": tended.trouble,
        "waiting": [wait_values(wait) for wait in tended.decision.waits],
    }


def wait_values(wait: Wait) -> dict[str, Any]:
    """One reason, for --json."""
    until = wait.until.isoformat() if wait.until else None
    return {"domain": wait.key.owner, "selector": wait.key.label, "reason": wait.reason, "until": until}


def refused(call: Callable[[], int]) -> str:
    """Why a change of the zones was refused, or nothing."""
    try:
        call()
    except DnsError as error:
        return str(error)
    return ""


def waits_of(tended_waits: Iterable[Wait], now: datetime) -> dict[str, str]:
    """Key id → what it waits for."""
    return {wait.key.id: _reason(wait, now) for wait in tended_waits}


def _step(step: Permitted) -> str:
    match step:
        case Mint(owner, algorithm):
            return f"a new {algorithm} key for {owner}"
        case Call(key):
            return f"{key.label} of {key.owner}: called" + (
                ", nodes get it" if key.material == "dkim" else ""
            )
        case Certify(key):
            return f"{key.label} of {key.owner}: certified"
    return f"{step.key.label} of {step.key.owner}: {step.key.state} → {step.state}"


def _wait(wait: Wait, now: datetime) -> str:
    return f"{wait.key.label} of {wait.key.owner} stays {wait.key.state}: {_reason(wait, now)}"


def _reason(wait: Wait, now: datetime) -> str:
    if not wait.until:
        return wait.reason
    return f"{wait.reason}, from {wait.until:%Y-%m-%d %H:%M:%S} UTC (in {_span(_seconds(wait.until, now))})"


def _seconds(until: datetime, now: datetime) -> float:
    return (until - now).total_seconds()


def _span(seconds: float) -> str:
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"
