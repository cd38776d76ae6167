"""The life of keys on a virtual clock, with faults at every step: mail signed at any time verifies to its last day."""

from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mxfleet.errors import StateError
from mxfleet.keys.compromise import KNOWN, Compromise, compromise
from mxfleet.keys.facts import Moved, RotationWished
from mxfleet.keys.lifecycle import SUCCESSORS, KeyState
from mxfleet.keys.rotation import permitted
from mxfleet.keys.sight import NodeSight, Observation
from tests.unit.keys.world import DOMAINS, PERIODS, World

S = KeyState


def settled(domains: tuple[str, ...] = ("corp.test",)) -> World:
    """Every domain signs with both algorithms and has a spare of each."""
    world = World(domains=domains)
    world.settle()
    return world


def states(world: World, owner: str = "corp.test") -> list[tuple[str, str]]:
    return sorted((key.label, str(key.state)) for key in world.state.dkim(owner))


def wish(world: World, owner: str = "corp.test") -> None:
    for algorithm in ("rsa", "ed25519"):
        world.append(RotationWished(owner=owner, algorithm=algorithm))


def withdraw(world: World, selectors: list[str], drain: int = 0) -> Compromise:
    return compromise(world.state, selectors, Observation((), world.dissent(world.state)), drain=drain, ttl=5)


def history(world: World) -> list[tuple[str, str]]:
    """The states that keys took, in order, without time."""
    return [(fact.key.split("/")[2], str(fact.state)) for fact, _ in moves(world)]


def moves(world: World) -> list[tuple[Moved, datetime]]:
    return [(entry.what, entry.at) for entry in world.entries if isinstance(entry.what, Moved)]


def test_a_new_domain_ends_with_one_key_that_signs_and_one_spare_of_each_algorithm() -> None:
    world = settled()
    assert states(world) == [("e2", "active"), ("e4", "standby"), ("r1", "active"), ("r3", "standby")]
    assert set(world.nodes_sign["mx1"]) == {"dkim/corp.test/e2", "dkim/corp.test/r1"}


def test_the_spare_is_never_on_a_node_until_it_is_called() -> None:
    world = settled()
    assert all(set(have) == set(world.nodes_sign[name]) for name, have in world.nodes_have.items())


def test_a_wished_rotation_takes_rsa_first_and_ed25519_only_when_that_is_proven() -> None:
    world = settled()
    wish(world)
    world.settle()
    order = history(world)
    assert order.index(("r3", "active")) < order.index(("r1", "draining")) < order.index(("e4", "ready"))
    flips = {fact.key: at for fact, at in moves(world) if fact.state is S.ACTIVE}
    apart = flips["dkim/corp.test/e4"] - flips["dkim/corp.test/r3"]
    assert apart >= timedelta(seconds=PERIODS.visible)
    assert states(world)[:2] == [("e2", "removed"), ("e4", "active")]
    assert not world.state.wishes


def test_a_key_that_is_old_enough_is_rotated_without_anybody_asking() -> None:
    world = settled()
    world.pass_time(PERIODS.rotate)
    world.settle()
    assert ("r3", "active") in states(world)


def test_with_rotation_off_a_key_stays_for_ever() -> None:
    world = World(domains=("corp.test",), periods=type(PERIODS)(rotate=0, visible=20, drain=110, revoked=30))
    world.settle()
    world.pass_time(10**8)
    world.settle()
    assert ("r1", "active") in states(world)


def test_a_server_that_lags_holds_the_rotation_and_is_named() -> None:
    world = World(domains=("corp.test",), stuck={1})
    for _ in range(50):
        world.tend()
        world.pass_time(5)
    assert {state for _, state in states(world)} == {"published"}
    tended = world.tend()
    assert tended is not None
    assert {wait.reason for wait in tended.decision.waits} == {"ns1"}


def test_a_node_that_is_down_keeps_the_old_key_active_and_is_named() -> None:
    world = settled()
    wish(world)
    while ("r3", "ready") not in states(world):
        world.tend()
        world.pass_time(1)
    world.down = {"mx2"}
    for _ in range(100):
        tended = world.tend()
        world.pass_time(5)
    assert ("r1", "active") in states(world)
    assert ("r3", "ready") in states(world)
    assert tended is not None
    assert "mx2 cannot be asked (no answer)" in {wait.reason for wait in tended.decision.waits}
    world.settle()
    assert ("r1", "removed") in states(world)


def test_a_node_that_went_down_after_the_flip_keeps_the_old_key_in_dns() -> None:
    world = settled()
    wish(world)
    while ("r3", "active") not in states(world):
        world.tend()
        world.pass_time(1)
    world.nodes_sign["mx2"] = {"dkim/corp.test/r1": "public r1", "dkim/corp.test/e2": "public e2"}
    world.down = {"mx2"}
    for _ in range(100):
        world.tend()
        world.pass_time(5)
        assert world.problems() == []
    assert ("r1", "active") in states(world)


def test_a_standby_that_a_server_lost_waits_the_whole_period_again() -> None:
    world = settled()
    del world.servers[1]["dkim/corp.test/r3"]
    world.stuck = {1}
    world.tend()
    assert ("r3", "published") in states(world)


@pytest.mark.parametrize("seconds", [-3600, 3600 * 24 * 365])
def test_no_period_is_trusted_while_the_clocks_differ(seconds: int) -> None:
    world = settled()
    wish(world)
    while ("r1", "draining") not in states(world):
        world.tend()
        world.pass_time(1)
    real = world.nodes()
    now = world.now + timedelta(days=400)
    nodes = tuple(
        NodeSight(n.node, n.installed, n.signing, now + timedelta(seconds=seconds), n.problem) for n in real
    )
    decision = permitted(
        world.state, Observation(nodes, world.dissent(world.state)), PERIODS, now, world.domains
    )
    assert not [step for step in decision.steps if getattr(step, "state", None) in (S.REVOKED, S.REMOVED)]
    [reason] = {w.reason for w in decision.waits if w.key.label == "r1"}
    assert reason.startswith("the clocks differ: here it is 2027-12-29")


def test_a_domain_that_left_the_fleet_is_drained_and_its_spares_go_at_once() -> None:
    world = settled(DOMAINS)
    world.domains = ("corp.test",)
    world.tend()
    assert ("shop.test", "removed") in {(k.owner, str(k.state)) for k in world.state.dkim("shop.test")}
    world.nodes_sign = {
        name: {k: v for k, v in keys.items() if "shop" not in k} for name, keys in world.nodes_sign.items()
    }
    for _ in range(100):
        world.tend()
        world.pass_time(5)
        assert [p for p in world.problems() if "left DNS" in p or "visible" in p] == []
    assert {str(k.state) for k in world.state.dkim("shop.test")} == {"removed"}


def test_a_compromise_takes_the_spare_without_waiting_for_dns_and_revokes_at_once() -> None:
    world = settled()
    done = withdraw(world, ["r1"])
    assert [(old.label, new.label if new else None) for old, new in done.successors] == [("r1", "r3")]
    assert done.costs[0].startswith("mail signed with r1 of corp.test that is still on its way loses")
    world.append(*done.facts)
    world.deploy(("mx1",))
    assert all("dkim/corp.test/r3" in keys for keys in world.nodes_sign.values())
    assert world.problems() == []
    world.publish(world)
    assert world.servers[1]["dkim/corp.test/r1"] == "revoked"
    world.settle()
    assert ("r1", "removed") in states(world)
    assert len([k for k in world.state.dkim() if k.state in SUCCESSORS]) == 2  # a new spare


def test_a_compromise_with_a_drain_of_its_own_leaves_the_key_at_once_and_revokes_it_then() -> None:
    world = settled()
    done = withdraw(world, ["r1"], drain=40)
    assert done.costs[0] == (
        "r1 of corp.test stays in DNS for 0:00:40 after the last node has left it: until then, who has it can still "
        "sign in your name"
    )
    world.append(*done.facts)
    world.deploy(())
    assert all("dkim/corp.test/r1" not in keys for keys in world.nodes_sign.values())
    begun, drained = world.now, None
    for _ in range(30):
        world.tend()
        drained = drained or (world.now if ("r1", "revoked") in states(world) else None)
        world.pass_time(5)
    assert drained is not None
    assert 40 <= (drained - begun).total_seconds() <= 55 < PERIODS.drain


def test_a_compromise_says_which_keys_have_nothing_to_come() -> None:
    world = settled()
    assert [line[1:] for line in withdraw(world, ["r1"]).missing] == [("corp.test", "rsa")]
    assert [line[1:] for line in withdraw(world, ["r1", "r3", "e2"]).missing] == [
        ("corp.test", "rsa"),
        ("corp.test", "ed25519"),
    ]
    wish(world)
    while ("r3", "active") not in states(world):
        world.tend()
        world.pass_time(1)
    while len([key for key in world.state.dkim() if key.algorithm == "rsa"]) < 3:
        world.tend()
        world.pass_time(1)
    assert withdraw(world, ["r1"]).missing == ()  # the next spare is there already


def test_a_compromise_without_a_spare_says_that_mail_leaves_unsigned() -> None:
    world = settled()
    done = withdraw(world, ["r1", "r3"])
    assert done.successors[0][1] is None
    assert any("no spare rsa key of corp.test is visible" in cost for cost in done.costs)


def test_a_compromise_in_mid_rotation_goes_back_to_the_older_key() -> None:
    world = settled()
    wish(world)
    while ("r3", "active") not in states(world):
        world.tend()
        world.pass_time(1)
    world.append(*withdraw(world, ["r3"]).facts)
    assert [k.label for k in world.state.signers()] == ["r1", "e2"]


def test_what_is_not_in_use_cannot_be_compromised() -> None:
    world = settled()
    with pytest.raises(StateError, match="no key has the selector x9 — mxfleet dkim status lists them"):
        withdraw(world, ["x9"])
    world.append(*withdraw(world, ["r1._domainkey.corp.test"]).facts)
    with pytest.raises(StateError, match="selector r1 is compromised: there is nothing to withdraw"):
        withdraw(world, ["r1"])


def run_rotation(dies_at: int | None) -> World:
    """A whole rotation from nothing, whose command dies once at the given effect."""
    world = World(domains=("corp.test",))
    world.dies_at = dies_at
    for turn in range(130):
        if turn == 30:
            keep, world.dies_at = world.dies_at, None
            wish(world)
            world.dies_at = keep
        world.tend()
        assert world.problems() == []
        world.pass_time(5)
    return world


def test_a_command_that_died_at_any_effect_is_completed_by_the_next() -> None:
    whole = run_rotation(None)
    expected = sorted(str(key.state) for key in whole.state.dkim())
    assert expected.count("removed") == 2
    assert len(whole.telling) > 100
    for dies_at in whole.telling:
        world = run_rotation(dies_at)
        assert sorted(str(key.state) for key in world.state.dkim()) == expected, dies_at
        assert world.nodes_sign["mx1"].keys() == {key.id for key in world.state.signers()}


@pytest.mark.parametrize("drain", [0, 40])
def test_a_compromise_that_died_after_its_line_is_completed_by_the_next_run(drain: int) -> None:
    world = settled()
    world.append(*withdraw(world, ["r1", "e2"], drain=drain).facts)
    world.tend()
    assert all(set(keys) == {"dkim/corp.test/r3", "dkim/corp.test/e4"} for keys in world.nodes_sign.values())
    assert world.nodes_have == world.nodes_sign
    assert (world.servers[1]["dkim/corp.test/r1"] == "revoked") is not bool(drain)
    world.settle()
    assert ("r1", "removed") in states(world)


class Lives(RuleBasedStateMachine):
    """Anything may happen in any order; what must hold is asked after each."""

    def __init__(self) -> None:
        super().__init__()
        self.world = settled(("corp.test",))

    @rule(runs=st.sampled_from([1, 2, 5, 40]), seconds=st.sampled_from([0, 1, 10, 25]))
    def tend(self, runs: int, seconds: int) -> None:
        for _ in range(runs):
            self.world.tend()
            assert self.world.problems() == []
            self.world.pass_time(seconds)
            assert self.world.problems() == []

    @rule(after=st.integers(1, 12))
    def tend_and_die(self, after: int) -> None:
        self.world.dies_at = self.world.effects + after
        self.world.tend()
        self.world.dies_at = None

    @rule(seconds=st.sampled_from([1, 20, 115, 1000]))
    def pass_time(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    @rule()
    def wish(self) -> None:
        wish(self.world)

    @rule()
    def stick(self) -> None:
        self.world.stuck = {1}

    @rule()
    def catch_up(self) -> None:
        self.world.stuck.clear()
        self.world.transfer()

    @rule(name=st.sampled_from(["mx1", "mx2", "mx3"]))
    def power_off(self, name: str) -> None:
        self.world.down.add(name)

    @rule(name=st.sampled_from(["mx1", "mx2", "mx3"]))
    def cut(self, name: str) -> None:
        self.world.cut.add(name)

    @rule(name=st.sampled_from(["mx1", "mx2", "mx3"]))
    def rotate_and_lose_a_node_on_the_way(self, name: str) -> None:
        wish(self.world)
        for _ in range(20):
            flips = any(key.state is S.READY for key in self.world.state.dkim())
            self.world.cut_in_deploy = name if flips else ""
            self.world.tend()
            self.world.pass_time(5)

    @rule()
    def mend(self) -> None:
        self.world.down.clear()
        self.world.cut.clear()

    @rule()
    def restore_an_old_zone(self) -> None:
        """One server goes back to a zone without the keys that have not signed yet."""
        self.world.stuck = {1}
        for key in self.world.state.dkim():
            if key.state in SUCCESSORS:
                self.world.servers[1].pop(key.id, None)

    @rule(name=st.sampled_from(["mx1", "mx2", "mx3"]))
    def restore_an_old_node_unseen(self, name: str) -> None:
        """It comes back from a backup, signs with what is draining, and cannot be asked."""
        self.world.cut.add(name)
        for key in self.world.state.dkim():
            if key.state is S.DRAINING:
                self.world.nodes_sign[name][key.id] = key.spki

    @rule(data=st.data(), dies=st.booleans())
    def compromise(self, data: st.DataObject, dies: bool) -> None:
        """Any key that is known to others: one that signs, that did, that is to, or a spare."""
        known = [key for key in self.world.state.dkim() if key.state in KNOWN]
        if known and len(self.world.state.dkim()) < 12:
            key = data.draw(st.sampled_from(known))
            done = withdraw(self.world, [key.label])
            self.world.append(*done.facts)
            if not dies:
                self.world.deploy(())
                self.world.publish(self.world)

    @invariant()
    def nothing_breaks(self) -> None:
        assert self.world.problems() == []

    @invariant()
    def algorithms_never_move_together(self) -> None:
        moving = {
            k.algorithm for k in self.world.state.dkim() if k.called and k.state in (S.STANDBY, S.READY)
        }
        assert len(moving) < 2

    def teardown(self) -> None:
        """Once everything is mended, all comes to rest with a key that signs and a spare of each algorithm."""
        self.world.settle(runs=400)
        assert self.world.problems() == []
        live = sorted(str(k.state) for k in self.world.state.dkim() if k.state is not S.REMOVED)
        assert live == ["active", "active", "standby", "standby"]
        assert all(
            set(keys) == {k.id for k in self.world.state.signers()} for keys in self.world.nodes_sign.values()
        )


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
