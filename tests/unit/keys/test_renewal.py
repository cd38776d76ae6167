"""The life of TLS keys on a virtual clock: no sender ever finds a key that its TLSA records do not name."""

from dataclasses import replace

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mxfleet.keys.facts import Moved, RotationWished
from mxfleet.keys.lifecycle import KeyState
from mxfleet.keys.renewal import renewals
from mxfleet.keys.rotation import Certify
from mxfleet.keys.sight import Observation
from mxfleet.keys.state import TLS_WISH
from tests.unit.keys.tls_world import (
    HOSTS,
    LIFE,
    MX,
    MX1,
    NODES,
    PERIODS,
    SUBMIT,
    TTL,
    TlsWorld,
    key_in,
    states,
)

S = KeyState


def settled() -> TlsWorld:
    """Every name is served, and the exchanges' next keys stand in DNS."""
    world = TlsWorld()
    world.settle()
    return world


def wish(world: TlsWorld, name: str = MX) -> None:
    world.append(RotationWished(owner=name, algorithm=TLS_WISH))


def test_an_exchange_ends_with_the_key_it_serves_and_a_next_one_and_other_names_with_one() -> None:
    world = settled()
    assert states(world) == states(world, MX1) == ["active", "standby"]
    assert states(world, SUBMIT) == ["active"]
    assert len(world.servers[1][MX]) == 2
    assert set(world.serve["mx2"]) == {MX, SUBMIT}
    assert world.serve["mx1"][MX] == key_in(world, S.ACTIVE).spki


def test_the_next_key_is_on_no_node_until_it_is_served() -> None:
    world = settled()
    spare = key_in(world, S.STANDBY)
    assert all(spare.spki not in names.values() for names in world.serve.values())


def test_a_renewal_serves_the_key_that_was_published_before_and_drains_the_old_record() -> None:
    world = settled()
    old, new = key_in(world, S.ACTIVE), key_in(world, S.STANDBY)
    wish(world)
    for _ in range(30):
        world.tend()
        assert world.problems() == []
        world.pass_time(2)
    assert world.serve["mx1"][MX] == world.serve["mx2"][MX] == new.spki
    world.settle()
    assert world.problems() == []
    assert old.spki not in world.servers[1][MX]
    assert states(world) == ["active", "removed", "standby"]
    assert not world.state.wishes


def test_a_certificate_is_renewed_when_a_third_of_its_life_is_left() -> None:
    world = settled()
    before = key_in(world, S.ACTIVE)
    world.pass_time(LIFE / 3)
    world.tend()
    assert key_in(world, S.ACTIVE) == before
    world.pass_time(LIFE / 3)
    world.settle()
    assert key_in(world, S.ACTIVE) != before


def test_a_next_key_that_one_server_does_not_show_is_not_certified_and_the_server_is_named() -> None:
    world = TlsWorld(stuck={1})
    world.stuck.clear()
    world.settle()
    del_key = key_in(world, S.STANDBY)
    world.servers[1][MX] = world.servers[1][MX] - {del_key.spki}
    world.stuck = {1}
    wish(world)
    for _ in range(30):
        tended = world.tend()
        world.pass_time(5)
        assert world.problems() == []
    assert del_key.id not in world.ordered
    assert tended is not None
    assert [w.reason for w in tended.decision.waits if w.key.id == del_key.id] == ["ns1"]
    world.settle()
    assert key_in(world, S.ACTIVE).id == del_key.id


def test_a_node_that_still_serves_the_old_key_keeps_its_record() -> None:
    world = settled()
    old = key_in(world, S.ACTIVE)
    wish(world)
    while key_in(world, S.ACTIVE, MX).id == old.id and len(world.entries) < 60:
        if any(k.state is S.READY for k in world.state.tls(MX)):
            world.cut = {"mx2"}
        world.tend()
        world.pass_time(1)
        if len([k for k in world.state.tls(MX) if k.state is S.ACTIVE]) == 2:
            break
    for _ in range(40):
        tended = world.tend()
        world.pass_time(5)
        assert world.problems() == []
    assert old.spki in world.servers[1][MX]
    assert tended is not None
    assert "mx2 cannot be asked (no answer)" in {w.reason for w in tended.decision.waits}
    world.settle()
    assert old.spki not in world.servers[1][MX]


def test_a_node_that_is_away_does_not_hold_up_a_name_that_it_does_not_serve() -> None:
    world = settled()
    old = key_in(world, S.ACTIVE, MX1)
    world.down = {"mx2"}
    wish(world, MX1)
    for _ in range(30):
        world.tend()
        world.pass_time(5)
    assert old.spki not in world.servers[1][MX1]


def test_an_authority_that_refuses_holds_the_renewal_and_is_quoted() -> None:
    world = settled()
    before = key_in(world, S.ACTIVE)
    world.refusing = True
    wish(world)
    for _ in range(8):
        tended = world.tend()
        world.pass_time(2)
    assert tended is not None
    assert tended.refused == ("rate limited",)
    assert not tended.busy  # or a run that waits would ask again and again
    assert key_in(world, S.ACTIVE) == before
    world.settle()
    assert key_in(world, S.ACTIVE) != before


def test_a_certificate_from_before_keys_had_a_life_keeps_its_record_until_all_have_left_it() -> None:
    world = settled()
    legacy = TlsWorld(now=world.now)
    legacy.private = world.private
    fact = world.state.served(MX)
    assert fact is not None
    legacy.append(msgspec.structs.replace(fact, issuer="import", secret="tls/mx.corp.test/i20261124-abcdef"))
    legacy.deploy(NODES)
    legacy.publish(legacy)
    legacy.pass_time(TTL * 3)
    for _ in range(40):
        legacy.tend()
        assert legacy.problems() == []
        legacy.pass_time(3)
    assert [k.state for k in legacy.state.tls(MX) if k.spki == fact.spki] == [S.ACTIVE]
    wish(legacy)
    legacy.settle()
    assert legacy.problems() == []
    assert [k.state for k in legacy.state.tls(MX) if k.spki == fact.spki] == [S.REMOVED]


def test_a_name_that_left_the_fleet_lets_its_keys_go() -> None:
    world = settled()
    without = replace(HOSTS, nodes={MX: NODES})
    seen = Observation(world.nodes(), world.dissent(world.state))
    steps = renewals(world.state, seen, PERIODS, world.now, without).steps
    assert {(s.key.owner, s.state) for s in steps if not isinstance(s, Certify) and hasattr(s, "key")} == {  # type: ignore[union-attr]
        (MX1, S.DRAINING), (MX1, S.REMOVED), (SUBMIT, S.DRAINING),
    }  # fmt: skip


def run_renewal(dies_at: int | None) -> TlsWorld:
    world = TlsWorld()
    world.dies_at = dies_at
    for turn in range(60):
        if turn == 25:
            keep, world.dies_at = world.dies_at, None
            wish(world)
            world.dies_at = keep
        world.tend()
        assert world.problems() == []
        world.pass_time(5)
    return world


def test_a_command_that_died_at_any_effect_is_completed_by_the_next() -> None:
    whole = run_renewal(None)
    expected = [(k.owner, str(k.state)) for k in whole.state.tls() if k.state is not S.REMOVED]
    assert ("mx.corp.test", "removed") in {(k.owner, str(k.state)) for k in whole.state.tls()}
    assert len(whole.telling) > 50
    for dies_at in whole.telling:
        world = run_renewal(dies_at)
        kept = [(k.owner, str(k.state)) for k in world.state.tls() if k.state is not S.REMOVED]
        assert sorted(kept) == sorted(expected), dies_at
        assert world.serve["mx1"] == {f.name: f.spki for f in world.state.certificates}


class Lives(RuleBasedStateMachine):
    """Anything may happen in any order; what must hold is asked after each."""

    def __init__(self) -> None:
        super().__init__()
        self.world = settled()

    @rule(runs=st.sampled_from([1, 2, 10]), seconds=st.sampled_from([0, 1, 4, 12]))
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

    @rule(seconds=st.sampled_from([1, 15, 300]))
    def pass_time(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    @rule(name=st.sampled_from([MX, MX1, SUBMIT]))
    def wish(self, name: str) -> None:
        wish(self.world, name)

    @rule()
    def stick(self) -> None:
        self.world.stuck = {1}

    @rule()
    def catch_up(self) -> None:
        self.world.stuck.clear()
        self.world.transfer()

    @rule(refusing=st.booleans())
    def authority(self, refusing: bool) -> None:
        self.world.refusing = refusing

    @rule(name=st.sampled_from(NODES))
    def power_off(self, name: str) -> None:
        self.world.down.add(name)

    @rule(name=st.sampled_from(NODES))
    def cut(self, name: str) -> None:
        self.world.cut.add(name)

    @rule()
    def mend(self) -> None:
        self.world.cut.clear()

    @invariant()
    def nothing_breaks(self) -> None:
        assert self.world.problems() == []

    @invariant()
    def something_is_always_served(self) -> None:
        assert {fact.name for fact in self.world.state.certificates} == {MX, MX1, SUBMIT}

    def teardown(self) -> None:
        self.world.settle(runs=200)
        live = sorted(str(k.state) for k in self.world.state.tls(MX) if k.state is not S.REMOVED)
        assert live == ["active", "standby"]


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)


def test_no_selector_of_a_tls_key_ever_names_two_keys() -> None:
    world = run_renewal(None)
    labels = [key.id for key in world.state.tls()]
    assert len(labels) == len(set(labels))
    assert [e.what.state for e in world.entries if isinstance(e.what, Moved)].count(S.REVOKED) == 1


def test_renewals_wished_one_upon_the_other_still_wait_for_what_senders_remember() -> None:
    world = settled()
    for _ in range(4):
        wish(world)
        for _ in range(12):
            world.tend()
            assert world.problems() == []
        world.pass_time(1)
        assert world.problems() == []


def test_a_record_stays_for_two_ttls_after_the_last_node_left_its_key() -> None:
    world = settled()
    old = key_in(world, S.ACTIVE)
    wish(world)
    left = gone = None
    for _ in range(100):
        world.tend()
        if left is None and old.spki not in {names[MX] for names in world.serve.values()}:
            left = world.now
        if gone is None and old.spki not in world.servers[0][MX]:
            gone = world.now
        world.pass_time(1)
    assert left is not None
    assert gone is not None
    assert (gone - left).total_seconds() >= 2 * TTL
