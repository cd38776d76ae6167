"""From an empty state to active keys, against real Knot: plan, apply, visibility, crashes in between."""

import base64
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mxfleet.dns import publish as publishing
from mxfleet.dns.activation import activate_visible
from mxfleet.dns.authority import Verdict
from mxfleet.dns.families import Family
from mxfleet.dns.plan import Change
from mxfleet.dns.providers.protocol import Capabilities, Provider, Snapshot
from mxfleet.dns.providers.rfc2136 import Rfc2136Provider
from mxfleet.dns.providers.transport import Server
from mxfleet.dns.records import Record, txt
from mxfleet.errors import DnsError, GuardRefused, PlanStale, StateMissing
from mxfleet.fleet import EnvSecret, Fleet, Rfc2136, Zone
from mxfleet.fleet.load import load_file
from mxfleet.keys.ledger import read_signing, read_state, signing_for, writing
from mxfleet.keys.prepare import prepare_state
from mxfleet.keys.vault import Vault
from tests.contract import nameservers
from tests.contract.nameservers import Nameserver, zone_text

INVENTORY = Path(__file__).resolve().parents[2] / "inventories" / "lab.py"
PASSWORDS = {"alice@corp.test": "a long password", "bob@corp.test": "another password"}
EVERYTHING = (
    53  # 9 MX, 14 addresses, 8 SPF, 3 DMARC and 2 who may send reports, 5 DKIM, 2 MTA-STS, 2 TLS-RPT, 8 PTR
)
ENVIRONMENT = {"TSIG": nameservers.SECRET}
REVERSE = ("0.77.10.in-addr.arpa", "7.7.0.0.7.7.d.f.ip6.arpa")


@dataclass
class Clock:
    now: datetime = datetime(2026, 11, 24, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@dataclass
class Stand:
    """A fleet with state, on a primary and a second server that shows what it is told."""

    fleet: Fleet
    root: Path
    primary: Nameserver
    second: Nameserver
    clock: Clock

    def provider(self, server: Nameserver) -> Provider:
        return Rfc2136Provider(Server(server.address, server.port, server.key))

    def publish(self, patience: float = 0.0, *, adopt: bool = False) -> publishing.Published:
        return publishing.publish(
            self.fleet, ENVIRONMENT, self.clock, self.root, patience=patience, adopt=adopt
        )

    def plan(self) -> publishing.Planned:
        providers = publishing.providers_for(self.fleet, None, ENVIRONMENT)  # type: ignore[arg-type]
        state = read_state(self.root / self.fleet.state_directory)
        return publishing.make_plan(self.fleet, state, providers)

    def write(self, *records: Record, server: Nameserver | None = None) -> None:
        provider = self.provider(server or self.primary)
        for record in records:
            snapshot = provider.read("corp.test", {record.name})
            provider.apply("corp.test", [Change(None, record, Family.SPF, "by hand")], snapshot)

    def values(self, name: str, kind: str = "TXT") -> list[tuple[int, str]]:
        snapshot = self.provider(self.primary).read("corp.test", {name})
        return sorted((record.ttl, record.value) for record in snapshot.rrset(name, kind))

    def copy_keys_to_second(self) -> None:
        state = read_state(self.root / self.fleet.state_directory)
        for key in state.dkim("corp.test"):
            name = f"{key.label}._domainkey.corp.test"
            self.write(
                *self.provider(self.primary).read("corp.test", {name}).rrset(name, "TXT"), server=self.second
            )

    def states(self) -> set[tuple[str, str]]:
        return {(k.owner, str(k.state)) for k in read_state(self.root / self.fleet.state_directory).dkim()}


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    two = zone_text("corp.test", '@ 3600 TXT "verification=1"', "@ NS ns2", "ns2 A 127.0.0.2")
    others = {zone: zone_text(zone) for zone in ("shop.test", "parked.test", *REVERSE)}
    with ExitStack() as stack:
        primary = stack.enter_context(
            nameservers.running("knot", tmp_path / "primary", {"corp.test": two, **others})
        )
        second = stack.enter_context(
            nameservers.running(
                "knot", tmp_path / "second", {"corp.test": two}, addresses=("127.0.0.2",), port=primary.port
            )
        )
        provider = Rfc2136(server="127.0.0.1", key_name="mxfleet.", key=EnvSecret("TSIG"), port=primary.port)
        lab = load_file(INVENTORY)
        fleet = replace(
            lab, acme=None, zones=tuple(Zone(name=zone.name, provider=provider) for zone in lab.zones)
        )
        clock = Clock()
        prepare_state(fleet, PASSWORDS, clock, tmp_path)
        yield Stand(fleet, tmp_path, primary, second, clock)


def test_without_a_ledger_the_plan_names_the_command_that_makes_one(stand: Stand) -> None:
    with pytest.raises(StateMissing, match=r"no ledger in .* — mxfleet dkim init"):
        read_state(stand.root / "elsewhere")


def test_apply_publishes_everything_and_a_second_plan_is_empty(stand: Stand) -> None:
    done = stand.publish()
    assert done.changes == EVERYTHING
    again = stand.plan().plan
    assert not again.pending
    assert sum(zone.in_place for zone in again.zones) == EVERYTHING
    assert stand.publish().changes == 0


def test_a_foreign_text_at_the_apex_survives_with_its_ttl(stand: Stand) -> None:
    stand.publish()
    assert (3600, '"verification=1"') in stand.values("corp.test")
    [ours] = [(ttl, value) for ttl, value in stand.values("corp.test") if "v=spf1" in value]
    assert ours[0] == 3600  # one RRset has one TTL, and the foreign one decides


def test_keys_stay_published_while_one_server_does_not_show_them(stand: Stand) -> None:
    done = stand.publish()
    assert [key.owner for key in done.activation.active] == ["shop.test", "shop.test"]
    [(key, sights), _] = done.activation.waiting
    assert key.owner == "corp.test"
    late = [sight for sight in sights if sight.verdict is not Verdict.SHOWN]
    assert [str(sight) for sight in late] == [
        "ns2.corp.test (127.0.0.2) does not have it, its zone has serial 1"
    ]
    assert stand.states() == {("corp.test", "published"), ("shop.test", "active")}
    with pytest.raises(StateMissing, match=r"no active DKIM key for corp\.test — mxfleet dkim init, then"):
        signing_for(stand.fleet, stand.root)


def test_keys_become_active_once_the_last_server_shows_them(stand: Stand) -> None:
    stand.publish()
    stand.copy_keys_to_second()
    done = stand.publish()
    assert [key.owner for key in done.activation.active] == ["corp.test", "corp.test"]
    assert done.activation.waiting == ()
    signing = signing_for(stand.fleet, stand.root)
    assert [(key.domain, key.algorithm) for key in signing.dkim] == [
        ("corp.test", "rsa"), ("corp.test", "ed25519"), ("shop.test", "rsa"), ("shop.test", "ed25519"),
    ]  # fmt: skip


def test_waiting_ends_as_soon_as_the_last_server_shows_them(stand: Stand) -> None:
    stand.publish()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 1:
            stand.copy_keys_to_second()

    with writing(stand.root / stand.fleet.state_directory, stand.clock, "test", "lab") as writer:
        done = activate_visible(stand.fleet, writer, patience=30, sleep=sleep)
    assert len(done.active) == 2
    assert len(slept) == 1


def test_a_server_that_holds_another_key_under_the_selector_keeps_it_from_becoming_active(
    stand: Stand,
) -> None:
    [key, *_] = read_state(stand.root / stand.fleet.state_directory).dkim("corp.test")
    stand.write(txt(f"{key.label}._domainkey.corp.test", 60, b"v=DKIM1; p=AAAA"), server=stand.second)
    done = stand.publish()
    sights = {k.label: s for k, s in done.activation.waiting}[key.label]
    assert Verdict.DIFFERENT in {sight.verdict for sight in sights}


def test_active_keys_whose_records_were_lost_are_written_again_and_waited_for(stand: Stand) -> None:
    stand.publish()
    stand.copy_keys_to_second()
    stand.publish()
    for server in (stand.primary, stand.second):  # as when a zone is restored from an old backup
        provider = stand.provider(server)
        snapshot = provider.read("corp.test", ())
        keys = [r for r in snapshot.records if "._domainkey." in r.name]
        provider.apply("corp.test", [Change(r, None, Family.DKIM, "lost") for r in keys], snapshot)
    done = stand.publish()
    assert done.changes == 2
    assert [key.owner for key, _ in done.activation.waiting] == ["corp.test", "corp.test"]
    assert stand.states() == {("corp.test", "active"), ("shop.test", "active")}
    stand.copy_keys_to_second()
    assert stand.publish().activation.waiting == ()


def test_another_spf_record_is_not_replaced_without_adopt_and_is_with_it(stand: Stand) -> None:
    stand.write(txt("corp.test", 3600, b"v=spf1 include:old.example -all"))
    with pytest.raises(DnsError, match=r'TXT "v=spf1 include:old\.example -all" was not written by mxfleet'):
        stand.publish()
    assert stand.values("corp.test", "MX") == []  # nothing at all was changed
    done = stand.publish(adopt=True)
    assert done.changes == EVERYTHING
    assert [value for _, value in stand.values("corp.test") if "spf1" in value] == [
        '"v=spf1 ip4:10.77.0.11 ip6:fd77:77::11 ip4:10.77.0.12 ip6:fd77:77::12 ip4:10.77.0.13 ip6:fd77:77::13 ~all"'
    ]


def test_a_record_that_somebody_removed_by_hand_comes_back(stand: Stand) -> None:
    stand.publish()
    provider = stand.provider(stand.primary)
    snapshot = provider.read("corp.test", {"_dmarc.corp.test"})
    [dmarc] = snapshot.rrset("_dmarc.corp.test", "TXT")
    provider.apply("corp.test", [Change(dmarc, None, Family.DMARC, "by hand")], snapshot)
    [change] = stand.plan().plan.zones[0].changes
    assert (change.kind, change.record.name) == ("create", "_dmarc.corp.test")
    assert stand.publish().changes == 1


def test_a_domain_taken_out_of_the_fleet_keeps_its_keys_in_dns_until_they_are_drained(stand: Stand) -> None:
    stand.publish()
    without = tuple(domain for domain in stand.fleet.domains if domain.name != "shop.test")
    accounts = tuple(replace(account, also=()) for account in stand.fleet.accounts)
    stand.fleet = replace(stand.fleet, domains=without, accounts=accounts)
    with pytest.raises(GuardRefused, match=r"last-mx: shop\.test would have no MX at all"):
        stand.publish()
    planned = stand.plan()
    providers = publishing.providers_for(stand.fleet, None, ENVIRONMENT)  # type: ignore[arg-type]
    with writing(stand.root / stand.fleet.state_directory, stand.clock, "test", "lab") as writer:
        with pytest.raises(DnsError, match=r"there is no guard 'typo' — the guards are live-selector, "):
            publishing.apply_plan(planned, writer, providers, forced=["typo"])
        assert publishing.apply_plan(planned, writer, providers, forced=["last-mx"]) == 11
    assert not stand.plan().plan.pending
    snapshot = stand.provider(stand.primary).read("shop.test", ())
    assert sum("._domainkey." in record.name for record in snapshot.records) == 2


def test_another_plan_than_the_expected_one_is_refused(stand: Stand) -> None:
    planned = stand.plan()
    providers = publishing.providers_for(stand.fleet, None, ENVIRONMENT)  # type: ignore[arg-type]
    with writing(stand.root / stand.fleet.state_directory, stand.clock, "test", "lab") as writer:
        with pytest.raises(PlanStale, match=f"the plan is {planned.plan.checksum} now, not 0123456789abcdef"):
            publishing.apply_plan(planned, writer, providers, expect="0123456789abcdef")
        assert publishing.apply_plan(planned, writer, providers, expect=planned.plan.checksum) == EVERYTHING


@dataclass
class Breaking:
    """A provider that loses the operator's command before or after a zone is changed."""

    real: Provider
    when: str

    @property
    def capabilities(self) -> Capabilities:
        return self.real.capabilities

    def read(self, zone: str, names: Collection[str]) -> Snapshot:
        return self.real.read(zone, names)

    def apply(self, zone: str, changes: Sequence[Change], expect: Snapshot) -> None:
        if self.when == "before":
            raise ConnectionError("the operator's machine died")
        self.real.apply(zone, changes, expect)
        raise ConnectionError("the answer was lost")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("broken", ["corp.test", "parked.test", REVERSE[0]])
def test_a_command_that_died_half_way_is_completed_by_the_next(stand: Stand, when: str, broken: str) -> None:
    providers = publishing.providers_for(stand.fleet, None, ENVIRONMENT)  # type: ignore[arg-type]
    providers[broken] = Breaking(providers[broken], when)
    with (
        pytest.raises(ConnectionError),
        writing(stand.root / stand.fleet.state_directory, stand.clock, "test", "lab") as writer,
    ):
        publishing.apply_plan(stand.plan(), writer, providers)
    stand.publish()
    stand.copy_keys_to_second()
    stand.publish()
    assert not stand.plan().plan.pending
    assert stand.states() == {("corp.test", "active"), ("shop.test", "active")}
    assert len(read_signing(stand.root / stand.fleet.state_directory).dkim) == 4


def test_no_private_key_ever_reaches_a_zone_or_the_ledger(stand: Stand) -> None:
    stand.publish()
    vault = Vault.of(stand.fleet, stand.root)
    ledger = (stand.root / stand.fleet.state_directory / "ledger.jsonl").read_bytes()
    for name in vault.names("dkim/"):
        body = b"".join(line for line in vault.read(name).splitlines() if not line.startswith(b"-----"))
        assert body[:40] not in ledger
        assert base64.b64decode(body)[-32:] not in ledger
