"""A deploy for the sake of keys changes keys, or nothing; a key in other hands leaves nodes in any case."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

import mxfleet.cli.deploy
import mxfleet.cli.drift
from mxfleet.cli.narration import Narration
from mxfleet.cli.tending import Live
from mxfleet.errors import StateMissing
from mxfleet.fleet.load import load_file
from mxfleet.keys.facts import Minted, Moved
from mxfleet.keys.ledger import writing
from mxfleet.keys.lifecycle import KeyState, Material
from mxfleet.keys.sight import NodeSight
from mxfleet.keys.vault import Vault
from mxfleet.render.differences import Difference

INVENTORY = Path(__file__).resolve().parents[3] / "inventories" / "lab.py"
FLEET = load_file(INVENTORY)
KEY = Difference("smtp", "file", "/etc/mxfleet/mxd.toml", "content differs", keys=True)
SETTINGS = Difference("smtp", "file", "/etc/mxfleet/mxd.toml", "content differs")
RELEASE = Difference("smtp", "release", "0.2", "not unpacked")
LOST = {("corp.test", "r1"): "r1"}
Found = dict[str, tuple[Difference, ...]]


@dataclass
class Stand:
    """Three nodes of which the first still signs with a withdrawn key; how they differ, and what was done to them."""

    root: Path
    found: Found | StateMissing = field(default_factory=dict)
    urgent: bool = False
    deploys: int = 0
    switched: list[str] = field(default_factory=list)

    def deploy(self, found: Found | StateMissing) -> str:
        self.found = found
        stand = self

        class Standing(Live):
            def switch(self, nodes: Sequence[NodeSight]) -> str:
                stand.switched += [node.node for node in nodes]
                return ""

        live = Standing(FLEET, INVENTORY, self.root, Vault.of(FLEET, self.root), {}, urgent=self.urgent)
        live.seen = (NodeSight("mx1", signing=LOST), NodeSight("mx2"), NodeSight("mx3", problem="no answer"))
        return live.deploy(("mx1", "mx2"))


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    made = Stand(tmp_path)
    with writing(tmp_path / FLEET.state_directory, lambda: datetime.now(UTC), "test", "lab") as writer:
        writer.append(
            Minted(
                material=Material.DKIM, owner="corp.test", label="r1", algorithm="rsa", public="p", spki="r1"
            )
        )
        for step in (KeyState.PUBLISHED, KeyState.VISIBLE, KeyState.ACTIVE, KeyState.COMPROMISED):
            writer.append(Moved(key="dkim/corp.test/r1", state=step))

    def run(*_: object, **__: object) -> Narration:
        made.deploys += 1
        return Narration("lab", (), lambda: 0.0)

    def compare(*_: object) -> Found:
        if isinstance(made.found, StateMissing):
            raise made.found
        return made.found

    monkeypatch.setattr(mxfleet.cli.drift, "compare", compare)
    monkeypatch.setattr(mxfleet.cli.deploy, "run", run)
    return made


def test_where_keys_alone_differ_nodes_are_deployed(stand: Stand) -> None:
    assert stand.deploy({"mx1": (KEY,), "mx2": ()}) == ""
    assert (stand.deploys, stand.switched) == (1, [])


def test_where_something_else_differs_in_the_very_same_file_no_node_is_deployed(stand: Stand) -> None:
    said = stand.deploy({"mx1": (KEY,), "mx2": (SETTINGS, RELEASE)})
    assert stand.deploys == 0
    assert said == (
        "mx2 differs in more than keys (file /etc/mxfleet/mxd.toml: content differs and 1 more); "
        "next: mxfleet drift, mxfleet deploy"
    )


def test_a_node_that_has_a_withdrawn_key_loses_it_in_spite_of_that(stand: Stand) -> None:
    """E.g. one that was off when the key was lost."""
    stand.deploy({"mx1": (KEY,), "mx2": (SETTINGS,)})
    assert stand.switched == ["mx1"]


def test_an_inventory_that_is_not_complete_is_no_reason_to_leave_it_there_either(stand: Stand) -> None:
    said = stand.deploy(StateMissing("no certificate for mx4.corp.test"))
    assert (said, stand.switched, stand.deploys) == ("no certificate for mx4.corp.test", ["mx1"], 0)


def test_while_a_key_is_being_replaced_in_a_hurry_all_late_nodes_get_the_new_one(stand: Stand) -> None:
    stand.urgent = True
    assert stand.deploy({"mx1": (KEY,), "mx2": (SETTINGS,)}) == ""
    assert stand.switched == ["mx1", "mx2"]


def test_a_node_that_differs_in_nothing_and_yet_shows_other_keys_is_named(stand: Stand) -> None:
    said = stand.deploy({"mx1": (), "mx2": ()})
    assert stand.deploys == 0
    assert said.startswith(
        "mx1, mx2: nothing differs, and yet not what the ledger says; next: systemctl restart"
    )
