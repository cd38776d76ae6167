"""What `lab up` suggests at its end: commands that work as they stand."""

from pathlib import Path

import pytest

from mxfleet.cli.bring_up import what_next
from mxfleet.fleet.load import load_file

INVENTORIES = Path(__file__).resolve().parents[3] / "inventories"


@pytest.fixture(autouse=True)
def _unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MXFLEET_FLEET", raising=False)


def checkout(root: Path, *with_state: str) -> Path:
    (root / "inventories").mkdir()
    for name in with_state:
        (root / "inventories" / f"{name}.py").touch()
        (root / "state" / name).mkdir(parents=True)
        (root / "state" / name / "ledger.jsonl").touch()
    return root


def test_where_several_fleets_have_state_it_says_how_to_name_one(tmp_path: Path) -> None:
    root = checkout(tmp_path, "lab", "single")
    inventory = root / "inventories" / "lab.py"
    assert f"export MXFLEET_FLEET={inventory}" in what_next(
        load_file(INVENTORIES / "lab.py"), inventory, root
    )


def test_the_only_fleet_need_not_be_named(tmp_path: Path) -> None:
    root = checkout(tmp_path, "lab")
    said = what_next(load_file(INVENTORIES / "lab.py"), root / "inventories" / "lab.py", root)
    assert "export" not in said
    assert "lab power-off mx1" in said


def test_one_node_is_not_told_to_lose_its_power(tmp_path: Path) -> None:
    root = checkout(tmp_path, "single")
    said = what_next(load_file(INVENTORIES / "single.py"), root / "inventories" / "single.py", root)
    assert "power-off" not in said
    assert "mx2" not in said
