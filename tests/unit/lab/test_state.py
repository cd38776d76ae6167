"""The lab's record and lock."""

import multiprocessing
from pathlib import Path

import pytest

from mxfleet.errors import LabError
from mxfleet.lab import state
from mxfleet.lab.plan import Plan


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "LOCK", tmp_path / "lock")


def test_a_record_is_read_back(plan: Plan, tmp_path: Path) -> None:
    state.write(state.facts_of(plan, Path("/clone"), "inventories/lab.py", complete=True), tmp_path)
    record = state.read(tmp_path)
    assert record is not None
    assert (record.owner, record.fleet, record.complete) == ("/clone", "lab", True)
    assert record.facts["guests"]["mx1"]["addresses"] == ["10.77.0.11", "fd77:77::11"]


def test_no_lab_and_a_damaged_record_are_no_record(tmp_path: Path) -> None:
    assert state.read(tmp_path) is None
    (tmp_path / "lab.json").write_text("{")
    assert state.read(tmp_path) is None


def test_a_record_from_before_a_reboot_describes_nothing(plan: Plan, tmp_path: Path) -> None:
    facts = state.facts_of(plan, Path("/clone"), "x", complete=True)
    state.write(facts | {"boot": "another boot"}, tmp_path)
    assert state.read(tmp_path) is None


def test_without_a_lab_the_next_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "read", lambda: None)
    with pytest.raises(LabError) as caught:
        state.require()
    assert caught.value.hint == "mxfleet lab up"


def _try(path: Path, told: "multiprocessing.Queue[str]") -> None:
    state.LOCK = path
    try:
        with state.lock():
            told.put("held")
    except LabError as error:
        told.put(error.message)


def other_command() -> str:
    context = multiprocessing.get_context("spawn")
    told: multiprocessing.Queue[str] = context.Queue()
    process = context.Process(target=_try, args=(state.LOCK, told))
    process.start()
    answer = told.get(timeout=20)
    process.join()
    return answer


def test_only_one_command_at_a_time_changes_the_lab() -> None:
    with state.lock():
        assert "another mxfleet lab command is at work" in other_command()
    assert other_command() == "held"


def test_a_lock_that_was_removed_by_down_is_made_anew() -> None:
    with state.lock():
        state.LOCK.unlink()
        assert other_command() == "held"
