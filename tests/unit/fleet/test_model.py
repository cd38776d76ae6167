"""What a fleet derives from what it was told."""

from dataclasses import replace
from pathlib import Path

import pytest

from mxfleet.errors import FleetError
from mxfleet.fleet import Fleet, hosts
from mxfleet.fleet.load import load_file

INVENTORIES = Path(__file__).resolve().parents[3] / "inventories"


@pytest.fixture(name="lab", scope="module")
def lab_fleet() -> Fleet:
    return load_file(INVENTORIES / "lab.py")


def test_the_preferred_exchange_is_the_service_name(lab: Fleet) -> None:
    assert lab.mx_hostname == "mx.corp.test"


def test_with_one_node_the_exchange_is_that_node() -> None:
    assert load_file(INVENTORIES / "single.py").mx_hostname == "mx1.corp.test"


def test_peers_are_all_addresses_of_all_nodes(lab: Fleet) -> None:
    assert [str(address) for address in lab.peer_addresses] == [
        "10.77.0.11", "fd77:77::11", "10.77.0.12", "fd77:77::12", "10.77.0.13", "fd77:77::13",
    ]  # fmt: skip


def test_an_unknown_node_is_refused_with_the_known_ones(lab: Fleet) -> None:
    with pytest.raises(FleetError, match="fleet 'lab' has no node 'mx9' — its nodes are mx1, mx2, mx3"):
        lab.node("mx9")


def test_pyinfra_gets_a_host_a_node_and_no_secret(lab: Fleet) -> None:
    names = [name for name, _ in hosts(lab)]
    data = hosts(lab)[0][1]
    assert names == ["mx1", "mx2", "mx3"]
    assert data["ssh_hostname"] == "10.77.0.11"
    assert data["ssh_strict_host_key_checking"] == "yes"
    assert set(data) == {
        "fleet", "node", "ssh_hostname", "ssh_user", "ssh_port", "ssh_strict_host_key_checking", "ssh_key",
        "ssh_known_hosts_file",
    }  # fmt: skip


def test_what_pyinfra_prints_of_a_fleet_is_its_name(lab: Fleet) -> None:
    assert lab.to_json() == {"fleet": "lab"}


def test_a_fleet_with_aliases_can_be_a_key(lab: Fleet) -> None:
    """Deploy code remembers what it worked out of a fleet."""
    domain = replace(lab.domains[0], aliases={"info": ("alice",)})
    with_aliases = replace(lab, domains=(domain, *lab.domains[1:]))
    assert {with_aliases: 1}[replace(with_aliases)] == 1
