"""What must not be taken for granted on the way of a key: that a server still shows it, and what a node really has."""

import pytest

from mxfleet.keys.compromise import compromise
from mxfleet.keys.facts import Called
from mxfleet.keys.lifecycle import KeyState
from mxfleet.keys.sight import Observation
from tests.unit.keys.test_rotation import history, settled, states, wish
from tests.unit.keys.world import LIFETIME, PERIODS, World, text

S = KeyState
NEXT, NOW = "dkim/corp.test/r3", "dkim/corp.test/r1"


def tend_until(world: World, label: str, state: KeyState) -> None:
    for _ in range(400):
        if (label, str(state)) in states(world):
            return
        world.tend()
        world.pass_time(1)
    raise AssertionError(f"{label} never became {state}: {states(world)}")


def lose(world: World, key: str) -> None:
    """One server goes back to a zone without this key, and stays there."""
    del world.servers[1][key]
    world.stuck = {1}


def test_the_first_key_of_a_domain_is_not_taken_up_when_a_server_has_lost_it_again() -> None:
    world = World(domains=("corp.test",))
    tend_until(world, "r1", S.VISIBLE)
    lose(world, NOW)
    world.tend()
    assert ("r1", "published") in states(world)
    assert world.problems() == []


@pytest.mark.parametrize("called", [False, True])
def test_a_spare_that_a_server_has_lost_takes_over_from_no_compromised_key(called: bool) -> None:
    world = settled()
    if called:
        world.append(Called(key=NEXT))
    lose(world, NEXT)
    done = compromise(world.state, ["r1"], Observation((), world.dissent(world.state)))
    assert [heir for _, heir in done.successors] == [None]
    world.append(*done.facts)
    world.deploy(())
    assert world.problems() == []


def test_a_node_with_another_key_under_the_selector_holds_the_rotation_and_gets_the_right_one() -> None:
    world = settled()
    world.append(Called(key=NEXT))
    world.deploy(())
    world.nodes_have["mx2"][NEXT] = "somebody else's"
    tended = world.tend()
    assert tended is not None
    assert ("r3", "standby") in states(world)
    assert "mx2 does not have the key yet" in {wait.reason for wait in tended.decision.waits}
    assert tended.deployed == ("mx2",)
    assert world.nodes_have["mx2"][NEXT] == "public r3"


def test_a_node_that_signs_with_another_key_under_the_selector_gets_the_right_one() -> None:
    world = settled()
    world.nodes_sign["mx3"][NOW] = "somebody else's"
    assert any("mx3 signs with" in problem for problem in world.problems())
    tended = world.tend()
    assert tended is not None
    assert tended.deployed == ("mx3",)
    assert world.problems() == []


def test_a_node_restored_from_a_backup_begins_the_drain_anew() -> None:
    world = settled()
    wish(world)
    tend_until(world, "r1", S.DRAINING)
    world.pass_time(PERIODS.drain - 5)
    world.nodes_sign["mx3"] = {"dkim/corp.test/r1": "public r1"}
    world.tend()
    assert history(world).count(("r1", "draining")) == 2
    world.pass_time(LIFETIME)
    assert world.problems() == []
    assert ("r1", "draining") in states(world)


def test_a_key_stays_in_dns_for_the_whole_drain_behind_the_last_mail_of_the_last_node() -> None:
    world = settled()
    wish(world)
    tend_until(world, "r3", S.READY)
    world.cut_in_deploy = "mx2"  # it goes on with the old key, and so does mx3 behind it
    for _ in range(40):
        world.tend()
        world.pass_time(1)
    assert [NOW in keys for keys in world.nodes_sign.values()] == [False, True, True]
    world.cut.clear()
    for _ in range(200):
        world.tend()
        if world.servers[0][NOW] != "public r1":
            break
        world.pass_time(1)
    kept = (world.now - world.used[NOW]).total_seconds()
    assert PERIODS.drain <= kept <= PERIODS.drain + 10


def test_one_run_writes_a_step_and_leaves_neither_servers_nor_nodes_behind_it() -> None:
    world = World(domains=("corp.test",))
    for turn in range(200):
        if turn == 60:
            wish(world)
        world.tend()
        assert world.servers[0] == {key.id: shown for key in world.state.dkim() if (shown := text(key))}
        assert {frozenset(keys) for keys in world.nodes_sign.values()} == {
            frozenset(key.id for key in world.state.signers())
        }
        world.pass_time(2)
    assert ("r1", "removed") in states(world)


def test_a_node_that_came_back_from_a_backup_unseen_keeps_the_old_key_in_dns() -> None:
    world = settled()
    wish(world)
    tend_until(world, "r1", S.DRAINING)
    world.cut = {"mx2"}
    world.nodes_sign["mx2"] = {NOW: "public r1"}
    for _ in range(3 * PERIODS.drain // 5):
        tended = world.tend()
        world.pass_time(5)
        assert world.problems() == []
    assert ("r1", "draining") in states(world)
    assert tended is not None
    assert "mx2 cannot be asked (no answer)" in {
        w.reason for w in tended.decision.waits if w.key.label == "r1"
    }
    world.settle()
    assert ("r1", "removed") in states(world)
