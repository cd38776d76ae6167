"""Which steps TLS keys may take now: the second material of the same machine; pure.

A host proves itself by a key that senders know before they see it (RFC 7671 §8.1): the TLSA record of the next
key stands in DNS beside that of the present one, on every server, for two TTLs and more before it is served, and
a key's record goes only two TTLs after every node was seen to serve another. So

    minted → published → visible → standby    as with DKIM; the certificate comes later
    called      the certificate in force ends soon, or somebody wishes it: the authority is asked for another
    ready       the certificate is there
    active      it is served from the next deploy on; only while every server shows the key's record
    draining    every node that serves the name was asked, and none serves the old key any more
    revoked     two TTLs later: its TLSA record goes
    removed     no server shows it any more

Names without TLSA records (submission, policy hosts, zones that are not signed) take the same steps, and wait for
nothing in DNS. A name that nothing was ever served under takes its first key as soon as it is visible.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import ClassVar

from mxfleet.fleet.policy import KeyPeriods
from mxfleet.keys.certificates import lifetime
from mxfleet.keys.facts import Issued
from mxfleet.keys.lifecycle import SUCCESSORS, KeyState
from mxfleet.keys.needs import Hosts
from mxfleet.keys.rotation import Call, Case, Certify, Decision, Mint, Permitted, Step, Wait
from mxfleet.keys.sight import NodeSight, Observation
from mxfleet.keys.state import TLS_WISH, KeyView, State

S = KeyState
ALGORITHM = "p256"
"""What all peers take (RFC 7672 §8.1 wants one key that works for everybody)."""


def renewals(state: State, seen: Observation, periods: KeyPeriods, now: datetime, hosts: Hosts) -> Decision:
    """The decision for all TLS keys."""
    steps: list[Permitted] = []
    waits: list[Wait] = []
    for owner in dict.fromkeys((*hosts.nodes, *(key.owner for key in state.tls()))):
        asked = frozenset(hosts.nodes.get(owner, ()))
        nodes = tuple(node for node in seen.nodes if node.node in asked)
        case = Renewal(
            state, replace(seen, nodes=nodes), _periods(periods, hosts, owner), now, owner, ALGORITHM,
            owner in hosts.nodes, moving=False, bound=owner in hosts.bound, authority=hosts.authority,
        )  # fmt: skip
        for item in case.decide():
            (waits if isinstance(item, Wait) else steps).append(item)  # type: ignore[arg-type]
    return Decision(tuple(steps), tuple(waits))


def due(fact: Issued) -> datetime:
    """When a certificate is to be replaced: a third of its life before its end."""
    begin, end = lifetime(fact)
    return end - (end - begin) / 3


def first_of(keys: tuple[KeyView, ...]) -> KeyView | None:
    """The key that a new name begins with, of those that may be next."""
    waiting = [key for key in keys if key.state in SUCCESSORS]
    return min(waiting, key=lambda key: (key.minted, key.label), default=None)


def behind(state: State, seen: Observation, hosts: Hosts) -> tuple[str, ...]:
    """The nodes that answered and show, or have, another certificate than the ledger says."""
    late = {node for name in hosts.nodes for node in late_with(name, state, seen, hosts)}
    return tuple(node.node for node in seen.nodes if node.node in late)


def late_with(name: str, state: State, seen: Observation, hosts: Hosts) -> tuple[str, ...]:
    """Those of one host name."""
    served = state.served(name)
    if served is None:
        return ()
    wanted = served.fingerprint, served.spki
    return tuple(
        node.node
        for node in seen.nodes
        if not node.problem
        and node.node in hosts.nodes.get(name, ())
        and (node.chains.get(name) != wanted or node.serving.get(name, wanted) != wanted)
    )


def _periods(periods: KeyPeriods, hosts: Hosts, owner: str) -> KeyPeriods:
    if owner not in hosts.bound:
        return replace(periods, visible=0, drain=0, revoked=0)
    return replace(periods, visible=max(periods.visible, 2 * hosts.ttl), drain=2 * hosts.ttl, revoked=0)


@dataclass(slots=True)
class Renewal(Case):
    """The keys of one host name."""

    bound: bool = True
    authority: bool = True
    _using: ClassVar[str] = "serves it"
    served: Issued | None = field(init=False)

    def __post_init__(self) -> None:
        self.keys = tuple(sorted(self.state.tls(self.owner), key=lambda k: (k.minted, k.label)))
        self.served = self.state.served(self.owner)
        self.current = next((k for k in self.keys if self.served and k.spki == self.served.spki), None)

    def decide(self) -> Iterator[Permitted | Wait]:
        needed = self.bound or self.served is None or self._wished_or_due() is None
        if self.wanted and self.authority and needed and first_of(self.keys) is None:
            yield Mint(self.owner, self.algorithm)
        for key in self.keys:
            if key.state is not S.REMOVED:
                yield from self._next(key)

    def _certificate(self, key: KeyView) -> Issued | None:
        """One for this key that is not about to end."""
        fact = self.state.obtained.get((key.owner, key.spki))
        return fact if fact and self.now < due(fact) else None

    def _wished_or_due(self) -> datetime | None:
        """When the certificate in force is to be replaced; None where that is now."""
        if self.served is None or (self.owner, TLS_WISH) in self.state.wishes:
            return None
        until = due(self.served)
        return until if self.now < until else None

    def _successor(self, key: KeyView) -> Iterator[Permitted | Wait]:
        if not self.seen.shown(key):
            yield Step(key, S.PUBLISHED)  # the clock begins anew once all agree again
        elif self.served is None:
            yield from self._begin(key)
        elif key.state is S.VISIBLE:
            yield self._after(key, self.periods.visible, Step(key, S.STANDBY))
        elif key.state is S.READY:
            yield Step(key, S.ACTIVE)
        elif not key.called:
            yield self._due(key)
        elif self._certificate(key):
            yield Step(key, S.READY)
        else:
            yield self._ask(key)

    def _begin(self, key: KeyView) -> Iterator[Permitted | Wait]:
        if key != first_of(self.keys):
            yield Wait(key, "spare; the name's first certificate is not there yet")
        elif self._certificate(key):
            yield Step(key, S.ACTIVE)
        else:
            yield self._ask(key)

    def _ask(self, key: KeyView) -> Permitted | Wait:
        if self.authority:
            return Certify(key)
        return Wait(key, "the fleet has no certificate authority; mxfleet tls import brings a certificate")

    def _due(self, key: KeyView) -> Permitted | Wait:
        until = self._wished_or_due()
        if until is None or self._certificate(key):
            return Call(key)
        return Wait(key, "spare: next key, for the renewal", until)

    def _active(self, key: KeyView) -> Iterator[Permitted | Wait]:
        if not self.seen.shown(key):
            yield self._unseen(key)
        if self.wanted and self.current is not None and self.current.id == key.id:
            return
        if (
            self.bound
            and self.wanted
            and (reason := self._nodes(lambda n: not self._uses(n, key), self._using))
        ):
            yield Wait(key, reason)
        else:
            yield Step(key, S.DRAINING)

    def _draining(self, key: KeyView) -> Iterator[Permitted | Wait]:
        if self.bound and self.wanted:
            yield from super(Renewal, self)._draining(key)
        else:
            yield Step(key, S.REVOKED)

    def _uses(self, node: NodeSight, key: KeyView) -> bool:
        return node.proves_itself_with(key)
