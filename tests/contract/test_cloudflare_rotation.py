"""A rotation through the Cloudflare provider to the name servers behind the double, one of which lags; time is ours."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mxfleet.cli.tending import waiting
from mxfleet.fleet import Cloudflare, EnvSecret, Fleet, Zone
from mxfleet.fleet.load import load_file
from mxfleet.keys.prepare import prepare_state
from mxfleet.keys.tending import Tended
from tests.cloudflare_double.account import Account
from tests.cloudflare_double.nameservers import NameServer, serving
from tests.cloudflare_double.server import Double, running
from tests.contract.nameservers import free_port
from tests.contract.test_dns_rotation import INVENTORY, PERIODS, Clock, Nodes, Stand

ENVIRONMENT = {"TSIG": "unused", "CLOUDFLARE": "double-token"}
BEGIN = datetime(2026, 11, 24, 8, tzinfo=UTC)


@dataclass
class Cloud:
    """The stand, the API and its two name servers."""

    stand: Stand
    double: Double
    servers: list[NameServer]
    last: Tended = field(init=False)

    def tend(self, runs: int, seconds: float) -> None:
        """Runs, in each of which the stand's time goes on."""
        self.last = self.stand.tend(runs, seconds)

    def waiting(self) -> list[str]:
        """What the last run said."""
        return waiting(self.last, self.stand.clock())


def fleet_at(double: Double, port: int) -> Fleet:
    lab = load_file(INVENTORY)
    provider = Cloudflare(
        token=EnvSecret("CLOUDFLARE"), address=double.address, server="127.0.0.1", port=port
    )
    return replace(
        lab,
        zones=tuple(Zone(name=zone.name, provider=provider) for zone in lab.zones),
        policy=replace(lab.policy, record_ttl=60, keys=replace(PERIODS, ttl=60)),
    )


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setattr("tests.contract.test_dns_rotation.ENVIRONMENT", ENVIRONMENT)
    clock, account, port = Clock(), Account(), free_port()

    def seconds() -> float:
        return (clock() - BEGIN) / timedelta(seconds=1)

    for zone in load_file(INVENTORY).zones:
        account.add(zone.name)
    servers = [
        NameServer("ns1.corp.test", "127.0.0.1", seconds),
        NameServer("ns2.corp.test", "127.0.0.2", seconds, lag=12),
    ]
    with ExitStack() as stack:
        stack.enter_context(serving(account, servers, port))
        double = stack.enter_context(running(Double(account, seconds, limited=False)))
        fleet = fleet_at(double, port)
        passwords = {user.address: "a long password" for user in fleet.accounts}
        prepare_state(fleet, passwords, clock, tmp_path)
        yield Cloud(Stand(fleet, tmp_path, clock, Nodes()), double, servers)


def test_a_key_signs_only_once_the_slow_server_shows_it_too(cloud: Cloud) -> None:
    cloud.tend(2, seconds=5)
    assert cloud.stand.states() == ["published"]  # the API took it, one server shows it, the other not yet
    cloud.tend(3, seconds=5)
    assert "active" in cloud.stand.states()


def test_a_whole_rotation_with_a_lost_answer_on_the_way(cloud: Cloud) -> None:
    cloud.tend(20, seconds=5)
    assert cloud.stand.states() == ["active", "standby"]
    cloud.stand.wish()
    cloud.double.faults.append("lost answer")
    for _ in range(40):
        cloud.tend(1, seconds=10)
    assert cloud.stand.states() == ["removed", "active", "standby"]
    [zone] = [zone for zone in cloud.double.account.zones.values() if zone.name == "corp.test"]
    names = [record["name"] for record in zone.records.values()]
    assert len(names) == len(set(names)) == 4  # two that sign, two spares: nothing doubled, nothing left


def test_a_server_held_stale_stops_the_rotation_at_published(cloud: Cloud) -> None:
    cloud.tend(20, seconds=5)
    cloud.servers[1].stale = True
    cloud.stand.wish()
    for _ in range(30):
        cloud.tend(1, seconds=10)
    assert cloud.stand.states() == ["revoked", "active", "published"]
    assert any("ns2.corp.test (127.0.0.2) does not have it" in line for line in cloud.waiting())
