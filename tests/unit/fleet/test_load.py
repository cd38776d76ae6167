"""Which fleet a command is about: named, or the only one with state; never guessed."""

from pathlib import Path

import pytest

from mxfleet.errors import FleetError
from mxfleet.fleet.load import choose, load_file

ROOT = Path(__file__).resolve().parents[3]


def checkout(tmp_path: Path, *with_state: str) -> Path:
    (tmp_path / "inventories").mkdir()
    for name in ("lab", "office"):
        (tmp_path / "inventories" / f"{name}.py").touch()
    for name in with_state:
        (tmp_path / "state" / name).mkdir(parents=True)
        (tmp_path / "state" / name / "ledger.jsonl").touch()
    return tmp_path


def test_the_option_wins_over_the_environment(tmp_path: Path) -> None:
    assert choose("a.py", {"MXFLEET_FLEET": "b.py"}, checkout(tmp_path)) == Path("a.py")


def test_the_environment_wins_over_the_state(tmp_path: Path) -> None:
    assert choose(None, {"MXFLEET_FLEET": "b.py"}, checkout(tmp_path, "lab")) == Path("b.py")


def test_the_only_inventory_with_state_is_taken(tmp_path: Path) -> None:
    root = checkout(tmp_path, "office")
    assert choose(None, {}, root) == root / "inventories" / "office.py"


def test_without_state_nothing_is_guessed(tmp_path: Path) -> None:
    with pytest.raises(FleetError) as refused:
        choose(None, {}, checkout(tmp_path))
    assert str(refused.value) == (
        "which fleet? the inventories are inventories/lab.py, inventories/office.py; none of them has state"
        " — say --fleet FILE"
    )


def test_with_two_states_nothing_is_guessed(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="several have state"):
        choose(None, {}, checkout(tmp_path, "lab", "office"))


def test_a_missing_inventory_is_named(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"no inventory .*nowhere\.py — say --fleet FILE"):
        load_file(tmp_path / "nowhere.py")


@pytest.mark.parametrize("name", ["lab", "single", "example"])
def test_the_shipped_inventories_load(name: str) -> None:
    assert load_file(ROOT / "inventories" / f"{name}.py").name == name
