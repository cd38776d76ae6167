"""Each fault does what it says and no more, and heal undoes it."""

from collections.abc import Iterator

import pytest

from mxfleet.lab import guests
from tests.lab.running import Lab

STANDBY, PEER = 0, 1


@pytest.fixture
def standby(lab: Lab) -> Iterator[str]:
    """A node that does not hold the service address; whatever happens to it is mended afterwards."""
    node = lab.roll_order()[STANDBY]
    yield node
    lab.mxfleet("lab", "heal", node)


def reaches(source: str, target: str) -> bool:
    """Whether a ping comes back; by the switch's path, not by a service's."""
    return guests.run(source, ["ping", "-c1", "-W1", target]).returncode == 0


def address(lab: Lab, node: str) -> str:
    return str(lab.fleet.node(node).address4)


def allowed(lab: Lab, *words: str) -> None:
    done = lab.mxfleet("lab", *words)
    assert done.returncode == 0, done.stderr


def test_a_cut_node_reaches_nobody_and_runs_on(lab: Lab, standby: str) -> None:
    allowed(lab, "cut", standby)
    assert not reaches(standby, "10.77.0.100")
    assert lab.facts()["guests"][standby]["cable"] == "down"
    assert lab.facts()["guests"][standby]["runs"]
    allowed(lab, "heal", standby)
    assert reaches(standby, "10.77.0.100")


def test_an_isolated_node_reaches_all_but_its_peers(lab: Lab, standby: str) -> None:
    peer = lab.roll_order()[PEER]
    allowed(lab, "isolate", standby)
    assert not reaches(standby, address(lab, peer))
    assert not reaches(peer, address(lab, standby))
    assert reaches(standby, "10.77.0.100")
    assert reaches("world", address(lab, standby))
    assert lab.facts()["guests"][standby]["isolated"]
    allowed(lab, "heal", standby)
    assert reaches(standby, address(lab, peer))
    assert not lab.facts()["guests"][standby]["isolated"]


def test_heal_without_a_name_mends_all(lab: Lab, standby: str) -> None:
    allowed(lab, "isolate", standby)
    allowed(lab, "cut", standby)
    allowed(lab, "heal")
    assert reaches(standby, address(lab, lab.roll_order()[PEER]))


def test_world_cannot_be_isolated_from_peers_that_it_has_not(lab: Lab) -> None:
    done = lab.mxfleet("lab", "isolate", "world")
    assert done.returncode == 1
    assert "world is no node" in done.stderr


def test_a_guest_that_is_not_there_is_told_from_those_that_are(lab: Lab) -> None:
    done = lab.mxfleet("lab", "cut", "mx9")
    assert done.returncode == 1
    assert "its guests are mx1, mx2, mx3, world, office" in done.stderr


def test_a_node_without_power_keeps_its_disk_and_forgets_its_memory(lab: Lab, standby: str) -> None:
    lab.inside(
        standby,
        "echo kept > /var/lib/lab-test; echo lost > /run/lab-test; ip addr add 10.77.0.98/32 dev eth0",
    )
    with lab.powered_off(standby):
        facts = lab.facts()["guests"][standby]
        assert not facts["runs"]
        assert facts["memory"] == 0
    assert lab.inside(
        standby, "cat /var/lib/lab-test; rm /var/lib/lab-test; ls /run/lab-test 2>&1 || true"
    ) == ("kept\nls: cannot access '/run/lab-test': No such file or directory\n")
    assert "10.77.0.98" not in lab.inside(standby, "ip -br addr")


def test_the_lab_s_record_is_what_it_costs(lab: Lab) -> None:
    facts = lab.facts()
    assert sum(guest["memory"] for guest in facts["guests"].values()) < 3 * 1024**3
    assert {guest["role"] for guest in facts["guests"].values()} == {"node", "world", "office"}
