"""A deploy for the sake of keys changes keys, or nothing."""

from pathlib import Path

import pytest

import mxfleet.cli.deploy
import mxfleet.cli.drift
from mxfleet.cli.narration import Narration
from mxfleet.cli.tending import Live
from mxfleet.fleet.load import load_file
from mxfleet.keys.vault import Vault
from mxfleet.render.differences import Difference

INVENTORY = Path(__file__).resolve().parents[3] / "inventories" / "lab.py"
FLEET = load_file(INVENTORY)
KEY = Difference("smtp", "file", "/etc/mxfleet/mxd.toml", "content differs", keys=True)
SETTINGS = Difference("smtp", "file", "/etc/mxfleet/mxd.toml", "content differs")
RELEASE = Difference("smtp", "release", "0.2", "not unpacked")


def deployed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: dict[str, tuple[Difference, ...]]
) -> tuple[str, int]:
    """What `deploy` says where the nodes differ so, and how many deploys there were."""
    runs: list[None] = []

    def run(*_: object, **__: object) -> Narration:
        runs.append(None)
        return Narration("lab", (), lambda: 0.0)

    monkeypatch.setattr(mxfleet.cli.drift, "compare", lambda *_: found)
    monkeypatch.setattr(mxfleet.cli.deploy, "run", run)
    live = Live(FLEET, INVENTORY, tmp_path, Vault.of(FLEET, tmp_path), {})
    return live.deploy(("mx1",)), len(runs)


def test_where_keys_alone_differ_nodes_are_deployed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert deployed(monkeypatch, tmp_path, {"mx1": (KEY,), "mx2": (), "mx3": (KEY,)}) == ("", 1)


def test_where_something_else_differs_in_the_very_same_file_nobody_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said, runs = deployed(monkeypatch, tmp_path, {"mx1": (KEY,), "mx2": (SETTINGS, RELEASE)})
    assert runs == 0
    assert said == (
        "mx2 differs in more than keys (file /etc/mxfleet/mxd.toml: content differs and 1 more); "
        "next: mxfleet drift, mxfleet deploy"
    )


def test_a_node_that_differs_in_nothing_and_yet_shows_other_keys_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said, runs = deployed(monkeypatch, tmp_path, {"mx1": (), "mx2": ()})
    assert runs == 0
    assert said.startswith("mx1: nothing differs, and yet not what the ledger says; next: systemctl restart")
