"""From a fleet to the guests of its lab."""

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mxfleet.errors import LabError
from mxfleet.fleet import Address4, Cloudflare, EnvSecret, Fleet, Zone
from mxfleet.fleet.load import load_file
from mxfleet.lab import cloudflare, state
from mxfleet.lab.plan import Plan, guest_of, guests_of, plan_for

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def fleet() -> Fleet:
    return load_file(ROOT / "inventories" / "lab.py")


def test_the_lab_is_the_fleet_s_nodes_and_world_and_office(plan: Plan) -> None:
    assert [guest.name for guest in plan.guests] == ["mx1", "mx2", "mx3", "world", "office"]
    assert [guest.image for guest in plan.guests] == ["node"] * 3 + ["internet"] * 2
    assert plan.guests[0].addresses[0] == IPv4Address("10.77.0.11")


def test_one_node_makes_a_lab_of_three_guests() -> None:
    plan = plan_for(load_file(ROOT / "inventories" / "single.py"))
    assert [guest.name for guest in plan.guests] == ["mx1", "world", "office"]
    assert plan.service == ()


def test_zones_at_cloudflare_are_known_with_the_address_of_its_stand_in(plan: Plan) -> None:
    cloud = plan_for(load_file(ROOT / "inventories" / "lab_cloudflare.py"))
    assert cloud.cloudflare == ("corp.test", "shop.test", "parked.test")
    assert cloud.cloudflare_address == "http://127.0.0.1:7053"
    assert set(cloud.cloudflare) < set(cloud.zones)  # Knot serves them as it serves the others
    assert plan.cloudflare == ()


@pytest.mark.parametrize(
    "address", ["", "https://api.cloudflare.com", "http://127.0.0.1:7053.example.com", "http://127.0.0.1"]
)
def test_a_laboratory_never_changes_a_zone_at_the_real_cloudflare(fleet: Fleet, address: str) -> None:
    provider = Cloudflare(token=EnvSecret("CLOUDFLARE"), address=address)
    zones = (Zone(name="corp.test", provider=provider), *fleet.zones[1:])
    with pytest.raises(LabError, match=r"zones corp\.test: a laboratory's Cloudflare is one address of this"):
        plan_for(replace(fleet, zones=zones))


def test_the_stand_in_of_cloudflare_is_told_of_secrets_by_the_files_they_are_in() -> None:
    cloud = plan_for(load_file(ROOT / "inventories" / "lab_cloudflare.py"))
    words = cloudflare.command(cloud, ROOT)
    assert words[words.index("-m") + 1] == "tests.cloudflare_double"
    assert words[words.index("--token-file") + 1] == "/run/mxfleet-lab/cloudflare.token"
    assert words[words.index("--key-file") + 1] == "/run/mxfleet-lab/tsig.secret"
    assert [words[at + 1] for at, word in enumerate(words) if word == "--zone"] == list(cloud.cloudflare)


def test_the_office_has_a_mailbox_for_each_recipient(plan: Plan) -> None:
    assert {"alice@corp.test", "bob@corp.test", "sales@shop.test"} <= set(plan.mailboxes)
    assert not any(address.endswith("@parked.test") for address in plan.mailboxes)


def test_a_production_fleet_is_never_booted(fleet: Fleet) -> None:
    production = load_file(ROOT / "inventories" / "example.py")
    with pytest.raises(LabError, match="is not a laboratory"):
        plan_for(production)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"address4": Address4("10.78.0.11")}, "10.78.0.11 is not in the lab's networks"),
        ({"address4": Address4("10.77.0.100")}, "10.77.0.100 is taken by the lab itself"),
        ({"name": "world"}, "the lab cannot name a guest so"),
        ({"name": "much-too-long-a-name"}, "the lab cannot name a guest so"),
    ],
)
def test_a_node_that_cannot_be_a_guest_is_named(fleet: Fleet, change: dict[str, object], said: str) -> None:
    node = replace(fleet.nodes[0], **change)  # type: ignore[arg-type]
    with pytest.raises(LabError, match=said):
        plan_for(replace(fleet, nodes=(node,), service=None))


def test_every_guest_has_another_hardware_address(plan: Plan) -> None:
    assert len({guest.hardware for guest in plan.guests}) == len(plan.guests)
    assert plan.guests[0].hardware == "02:77:0a:4d:00:0b"


def test_interface_names_fit_into_the_kernel_s_fifteen_letters(plan: Plan) -> None:
    assert all(len(guest.machine) <= 15 for guest in plan.guests)


def test_guests_read_back_from_the_record_are_those_that_were_booted(plan: Plan) -> None:
    facts = state.facts_of(plan, Path("/clone"), "inventories/lab.py", complete=True)
    assert guests_of(facts) == plan.guests
    assert guest_of(facts, "mx2") == plan.guests[1]
    with pytest.raises(LabError, match="its guests are mx1, mx2, mx3, world, office"):
        guest_of(facts, "mx4")
