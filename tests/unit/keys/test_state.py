"""The fold of the ledger and the life of keys: rules that hold for every history, found by trying many."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mxfleet.errors import StateError
from mxfleet.keys.facts import AnyFact, Entry, Minted, Moved, Opened, RecordsIntended, RecordsRemoved
from mxfleet.keys.lifecycle import ADVERTISED, LIVE, STEPS, WITHDRAWN, KeyState, Material, refuse_step
from mxfleet.keys.state import Fold, State, fold

START = datetime(2026, 11, 24, 8, tzinfo=UTC)


def minted(owner: str = "corp.test", label: str = "r1", algorithm: str = "rsa") -> Minted:
    return Minted(
        material=Material.DKIM, owner=owner, label=label, algorithm=algorithm, public="AAAA", spki="00" * 32
    )


def entries(*facts: AnyFact) -> list[Entry]:
    return [
        Entry(number=n, previous="", at=START + timedelta(hours=n), by="test", what=fact)
        for n, fact in enumerate(facts, 1)
    ]


def path_to(state: KeyState, key: str = "dkim/corp.test/r1") -> list[Moved]:
    """The facts that bring a fresh first key to a state, by the short way."""
    way = {
        KeyState.MINTED: [],
        KeyState.PUBLISHED: ["published"],
        KeyState.ACTIVE: ["published", "visible", "active"],
        KeyState.DRAINING: ["published", "visible", "active", "draining"],
        KeyState.REMOVED: ["published", "visible", "active", "draining", "revoked", "removed"],
    }[state]
    return [Moved(key=key, state=KeyState(step)) for step in way]


def test_a_selector_names_one_key_for_ever_also_after_it_was_removed() -> None:
    with pytest.raises(StateError, match=r"ledger line 8: selector r1 of corp\.test would name a second key"):
        fold(entries(minted(), *path_to(KeyState.REMOVED), minted()))


def test_a_key_does_not_move_before_it_was_minted() -> None:
    with pytest.raises(
        StateError, match=r"ledger line 1: key dkim/corp\.test/r1 takes a step before it was minted"
    ):
        fold(entries(*path_to(KeyState.PUBLISHED)))


def test_a_second_key_does_not_take_the_short_way() -> None:
    second = path_to(KeyState.ACTIVE, "dkim/corp.test/r2")
    with pytest.raises(
        StateError, match=r"key dkim/corp\.test/r2 cannot become active at once: an older key"
    ):
        fold(entries(minted(), *path_to(KeyState.ACTIVE), minted(label="r2"), *second))


def test_the_other_algorithm_and_the_other_domain_are_first_keys_of_their_own() -> None:
    state = fold(
        entries(
            minted(), *path_to(KeyState.ACTIVE),
            minted(label="e1", algorithm="ed25519"), *path_to(KeyState.ACTIVE, "dkim/corp.test/e1"),
            minted(owner="shop.test"), *path_to(KeyState.ACTIVE, "dkim/shop.test/r1"),
        )
    )  # fmt: skip
    assert [(k.domain, k.algorithm) for k in state.signing().dkim] == [
        ("corp.test", "rsa"), ("corp.test", "ed25519"), ("shop.test", "rsa"),
    ]  # fmt: skip


def test_after_a_compromise_the_next_key_need_not_wait_for_the_drain() -> None:
    compromised = Moved(key="dkim/corp.test/r1", state=KeyState.COMPROMISED)
    second = path_to(KeyState.ACTIVE, "dkim/corp.test/r2")
    state = fold(entries(minted(), *path_to(KeyState.ACTIVE), compromised, minted(label="r2"), *second))
    assert [key.selector for key in state.signing().dkim] == ["r2"]


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(StateError, match="has the algorithm 'dsa'"):
        fold(entries(minted(algorithm="dsa")))


def test_since_is_when_the_last_step_was_taken() -> None:
    [key] = fold(entries(minted(), *path_to(KeyState.PUBLISHED))).keys
    assert (key.minted, key.since) == (START + timedelta(hours=1), START + timedelta(hours=2))


def test_values_are_ours_from_the_intention_until_they_are_known_to_be_gone() -> None:
    value = ("corp.test", "TXT", '"v=spf1 -all"')
    ours = {"corp.test": {value}}
    intended = RecordsIntended(zone="corp.test", creates=(value,))
    leaving = RecordsIntended(zone="corp.test", deletes=(value,))
    gone = RecordsRemoved(zone="corp.test", values=(value,))
    assert fold(entries(intended)).records == ours
    assert fold(entries(intended, leaving)).records == ours  # a crash here leaves it there, and ours
    assert fold(entries(intended, leaving, gone)).records == {}


def test_every_state_but_the_last_has_a_way_on_and_each_has_a_meaning_for_dns() -> None:
    for state, after in STEPS.items():
        assert after or state is KeyState.REMOVED
    assert set(KeyState) == ADVERTISED | WITHDRAWN | {KeyState.REMOVED}
    assert not ADVERTISED & WITHDRAWN
    assert LIVE <= ADVERTISED


def test_no_way_leads_to_active_but_past_visible() -> None:
    reach = {KeyState.MINTED}
    while True:
        more = {s for state in reach - {KeyState.VISIBLE} for s in STEPS[state]} | reach
        if more == reach:
            break
        reach = more
    assert KeyState.ACTIVE not in reach


def test_a_live_key_never_leaves_dns_without_a_drain_or_a_compromise() -> None:
    assert STEPS[KeyState.ACTIVE] == {KeyState.DRAINING, KeyState.COMPROMISED}
    for before in (*LIVE, KeyState.COMPROMISED):  # what never signed may simply go
        assert KeyState.REMOVED not in STEPS[before]


@given(st.sampled_from(KeyState), st.sampled_from(KeyState))
def test_the_table_is_what_is_enforced(before: KeyState, after: KeyState) -> None:
    if after in STEPS[before]:
        refuse_step("k", before, after)
    else:
        with pytest.raises(StateError, match=f"key k cannot go from {before} to {after}"):
            refuse_step("k", before, after)


class Histories(RuleBasedStateMachine):
    """Facts in any order: those that are refused change nothing, the rest keeps the rules."""

    OWNERS, LABELS = ("corp.test", "shop.test"), ("r1", "r2", "e1")

    @initialize()
    def begin(self) -> None:
        self.folding = Fold()
        self.accepted: list[AnyFact] = []
        self.keys: dict[str, tuple[str, str]] = {}
        self._offer(Opened(fleet="lab"))

    def _offer(self, fact: AnyFact) -> bool:
        before = self.folding.state()
        number = len(self.accepted) + 1
        entry = Entry(number=number, previous="", at=START + timedelta(hours=number), by="test", what=fact)
        trial = self.folding.copy()
        try:
            trial.add(entry)
        except StateError:
            assert self.folding.state() == before
            return False
        self.folding = trial
        self.accepted.append(fact)
        return True

    @rule(owner=st.sampled_from(OWNERS), label=st.sampled_from(LABELS), public=st.sampled_from("ABC"))
    def mint(self, owner: str, label: str, public: str) -> None:
        fact = Minted(
            material=Material.DKIM, owner=owner, label=label, public=public, spki=public,
            algorithm="ed25519" if label[0] == "e" else "rsa",
        )  # fmt: skip
        known = (owner, label) in {(k.owner, k.label) for k in self.folding.state().keys}
        assert self._offer(fact) is not known

    @rule(owner=st.sampled_from(OWNERS), label=st.sampled_from(LABELS), state=st.sampled_from(KeyState))
    def step(self, owner: str, label: str, state: KeyState) -> None:
        self._offer(Moved(key=f"dkim/{owner}/{label}", state=state))

    @invariant()
    def a_selector_names_one_key_for_ever(self) -> None:
        for key in self.folding.state().keys if hasattr(self, "folding") else ():
            first = self.keys.setdefault(key.id, (key.public, key.spki))
            assert first == (key.public, key.spki)

    @invariant()
    def what_signs_was_seen_on_all_servers_before(self) -> None:
        if not hasattr(self, "folding"):
            return
        for active in self.folding.state().signing().dkim:
            steps = [f.state for f in self.accepted if isinstance(f, Moved) and f.key == active.secret.name]
            assert KeyState.VISIBLE in steps[: steps.index(KeyState.ACTIVE)]

    @invariant()
    def folding_again_gives_the_same_view(self) -> None:
        if hasattr(self, "folding"):
            assert fold(entries(*self.accepted)) == self.folding.state()


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_an_empty_ledger_is_an_empty_view() -> None:
    assert fold([]) == State()
