"""A whole rotation with real ledger, vault and name servers; only nodes are stood in for, and time is ours."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mxfleet.cli.tending import Live, run_once, waiting
from mxfleet.dns.publish import providers_for
from mxfleet.fleet import EnvSecret, Fleet, KeyPeriods, Rfc2136, Zone
from mxfleet.fleet.load import load_file
from mxfleet.keys.facts import RotationWished
from mxfleet.keys.ledger import read_state, writing
from mxfleet.keys.lifecycle import KeyState
from mxfleet.keys.prepare import prepare_state
from mxfleet.keys.sight import NodeSight
from mxfleet.keys.tending import Tended
from mxfleet.keys.vault import Vault
from tests.contract import nameservers
from tests.contract.nameservers import zone_text

INVENTORY = Path(__file__).resolve().parents[2] / "inventories" / "single.py"
ENVIRONMENT = {"TSIG": nameservers.SECRET}
PERIODS = KeyPeriods(rotate=0, ttl=5, visible=20, drain=130, revoked=30)


@dataclass
class Clock:
    now: datetime = datetime(2026, 11, 24, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Nodes:
    """What a deploy would have brought to the one node."""

    sight: NodeSight = field(default_factory=lambda: NodeSight("mx1"))
    deploys: int = 0


@dataclass
class Stand:
    fleet: Fleet
    root: Path
    clock: Clock
    nodes: Nodes
    live: Live = field(init=False)

    def __post_init__(self) -> None:
        stand = self

        class Standing(Live):
            def nodes(self) -> tuple[NodeSight, ...]:
                return (replace(stand.nodes.sight, clock=stand.clock()),)

            def deploy(self, nodes: Sequence[str]) -> str:
                state = read_state(stand.root / stand.fleet.state_directory)
                signers = {(k.owner, k.label): k.spki for k in state.signers()}
                called = {(k.owner, k.label): k.spki for k in state.called()}
                stand.nodes.sight = NodeSight("mx1", signers | called, signers)
                stand.nodes.deploys += 1
                return ""

        vault = Vault.of(self.fleet, self.root)
        providers = providers_for(self.fleet, vault, ENVIRONMENT, self.root)
        self.live = Standing(self.fleet, INVENTORY, self.root, vault, providers, clock=self.clock)

    def tend(self, runs: int = 1, seconds: float = 0) -> Tended:
        for _ in range(runs):
            tended = run_once(self.live, "test")
            self.clock.now += timedelta(seconds=seconds)
        return tended

    def states(self, owner: str = "corp.test", algorithm: str = "rsa") -> list[str]:
        keys = read_state(self.root / self.fleet.state_directory).dkim(owner)
        return [str(key.state) for key in sorted(keys, key=lambda k: k.minted) if key.algorithm == algorithm]

    def wish(self) -> None:
        with writing(self.root / self.fleet.state_directory, self.clock, "test", self.fleet.name) as writer:
            writer.append(RotationWished(owner="corp.test", algorithm="rsa"))

    def shown(self, name: str) -> list[bytes]:
        snapshot = self.live.providers["corp.test"].read("corp.test", {name})
        return [record.octets for record in snapshot.rrset(name, "TXT")]


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    two = zone_text("corp.test", "@ NS ns2", "ns2 A 127.0.0.2")
    lab = load_file(INVENTORY)
    zones = {zone.name: zone_text(zone.name) for zone in lab.zones} | {"corp.test": two}
    with ExitStack() as stack:
        primary = stack.enter_context(nameservers.running("knot", tmp_path / "knot", zones))
        provider = Rfc2136(server="127.0.0.1", key_name="mxfleet.", key=EnvSecret("TSIG"), port=primary.port)
        fleet = replace(
            lab,
            zones=tuple(Zone(name=zone.name, provider=provider) for zone in lab.zones),
            policy=replace(lab.policy, keys=PERIODS),
        )
        clock = Clock()
        passwords = {account.address: "a long password" for account in fleet.accounts}
        prepare_state(fleet, passwords, clock, tmp_path)
        made = Stand(fleet, tmp_path, clock, Nodes())
        yield made


def single_server(stand: Stand) -> None:
    """Take the second name server out of the zone, so that all agree."""
    from mxfleet.dns.families import Family
    from mxfleet.dns.plan import Change

    provider = stand.live.providers["corp.test"]
    snapshot = provider.read("corp.test", ())
    [second] = [r for r in snapshot.rrset("corp.test", "NS") if "ns2" in r.value]
    provider.apply("corp.test", [Change(second, None, Family.ALIAS, "test")], snapshot)


def test_a_server_that_does_not_answer_stops_every_key_at_published_and_is_named(stand: Stand) -> None:
    tended = stand.tend(3)
    assert stand.states() == ["published"]
    assert {domain for domain, _ in stand.nodes.sight.signing} == {"shop.test"}
    said = [line for line in waiting(tended, stand.clock()) if "corp.test stays published" in line]
    assert len(said) == 2
    assert "ns2.corp.test (127.0.0.2) " in said[0]


def test_a_whole_rotation_from_nothing_to_removed(stand: Stand) -> None:
    single_server(stand)
    stand.tend(10, seconds=5)
    assert stand.states() == ["active", "standby"]
    stand.tend(4, seconds=10)
    old = dict(stand.nodes.sight.signing)
    stand.wish()
    seen = []
    for _ in range(30):
        stand.tend(1, seconds=10)
        seen.append(tuple(stand.states()))
    order = list(dict.fromkeys(seen))
    assert order == [
        ("active", "standby"),
        ("active", "ready"),
        ("active", "active"),
        ("draining", "active", "published"),
        ("draining", "active", "visible"),
        ("draining", "active", "standby"),
        ("revoked", "active", "standby"),
        ("removed", "active", "standby"),
    ]
    [(_, gone)] = [name for name in old if name not in stand.nodes.sight.signing]
    assert stand.shown(f"{gone}._domainkey.corp.test") == []
    assert len(stand.nodes.sight.signing) == 4


def test_the_vault_has_the_spare_and_no_node_does(stand: Stand) -> None:
    single_server(stand)
    stand.tend(10, seconds=5)
    state = read_state(stand.root / stand.fleet.state_directory)
    spares = [key for key in state.dkim() if key.state is KeyState.STANDBY]
    assert spares
    assert all(stand.live.vault.has(key.id) for key in spares)
    assert not any(stand.nodes.sight.has(key) for key in spares)
