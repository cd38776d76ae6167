"""A deploy for the sake of keys changes keys, or nothing; a key in other hands leaves nodes in any case."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

import mxfleet.cli.deploy
import mxfleet.cli.drift
from mxfleet.cli.narration import Narration
from mxfleet.cli.tending import Live, done
from mxfleet.errors import StateMissing
from mxfleet.fleet.load import load_file
from mxfleet.keys.facts import Minted, Moved
from mxfleet.keys.ledger import writing
from mxfleet.keys.lifecycle import KeyState, Material
from mxfleet.keys.rotation import Decision
from mxfleet.keys.sight import NodeSight
from mxfleet.keys.tending import Tended
from mxfleet.keys.vault import Vault
from mxfleet.render.differences import Difference

INVENTORY = Path(__file__).resolve().parents[3] / "inventories" / "lab.py"
FLEET = load_file(INVENTORY)
KEY = Difference("smtp", "file", "/etc/mxfleet/mxd.toml", "content differs", keys=True)
SETTINGS = Difference("smtp", "file", "/etc/mxfleet/mxd.toml", "content differs")
RELEASE = Difference("smtp", "release", "0.2", "not unpacked")
LOST, OLDER = {("corp.test", "r1"): "r1"}, {("corp.test", "r0"): "r0"}
Found = dict[str, tuple[Difference, ...]]
LOST_AT_ONCE = (KeyState.COMPROMISED,)
LOST_WITH_DRAIN = (KeyState.DRAINING,)
LONG_GONE = (KeyState.COMPROMISED, KeyState.REVOKED, KeyState.REMOVED)
DRAIN = {KeyState.DRAINING: 3600}


@dataclass
class Stand:
    """Three nodes of which the first still signs with a lost key, the second with an older one; the third does not answer.

    `deaf`: a switch changes nothing; `silent`: nor do nodes answer after it; `sick`: a deploy stops.
    """

    root: Path
    found: Found | StateMissing = field(default_factory=dict)
    urgent: bool = False
    deploys: int = 0
    switched: list[str] = field(default_factory=list)
    deaf: bool = False
    silent: bool = False
    sick: bool = False
    nodes: dict[str, NodeSight] = field(
        default_factory=lambda: {
            "mx1": NodeSight("mx1", signing=LOST),
            "mx2": NodeSight("mx2", signing=OLDER),
            "mx3": NodeSight("mx3", problem="no answer"),
        }
    )

    def deploy(self, found: Found | StateMissing) -> str:
        self.found = found
        stand = self

        class Standing(Live):
            def switch(self, nodes: Sequence[NodeSight]) -> str:
                stand.switched += [node.node for node in nodes]
                problem = "no answer" if stand.silent else ""
                if not stand.deaf:
                    stand.nodes |= {node.node: NodeSight(node.node, problem=problem) for node in nodes}
                return ""

            def nodes(self) -> tuple[NodeSight, ...]:
                self.seen = tuple(stand.nodes.values())
                return self.seen

        live = Standing(FLEET, INVENTORY, self.root, Vault.of(FLEET, self.root), {}, urgent=self.urgent)
        live.nodes()
        return live.deploy(("mx1", "mx2"))


@pytest.fixture(params=[LOST_AT_ONCE])
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Stand:
    made = Stand(tmp_path)
    with writing(tmp_path / FLEET.state_directory, lambda: datetime.now(UTC), "test", "lab") as writer:
        writer.append(
            Minted(
                material=Material.DKIM, owner="corp.test", label="r1", algorithm="rsa", public="p", spki="r1"
            )
        )
        for step in (KeyState.PUBLISHED, KeyState.VISIBLE, KeyState.ACTIVE, *request.param):
            writer.append(Moved(key="dkim/corp.test/r1", state=step, drain=DRAIN.get(step)))

    def run(*_: object, **__: object) -> Narration:
        made.deploys += 1
        narration = Narration("lab", (), lambda: 0.0)
        if made.sick:
            narration.failed = {"mx1": "the exchange is healthy"}
            narration.sentences = ["mx1: does not become healthy"]
        return narration

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


@pytest.mark.parametrize("stand", [LOST_AT_ONCE, LOST_WITH_DRAIN, LONG_GONE], indirect=True)
def test_a_node_that_has_a_lost_key_loses_it_in_spite_of_that(stand: Stand) -> None:
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


def test_a_hurried_switch_that_cures_nothing_is_no_success(stand: Stand) -> None:
    """Else the next run follows at once, and the one after it."""
    stand.urgent = stand.deaf = True
    said = stand.deploy({"mx1": (KEY,), "mx2": (SETTINGS,)})
    assert stand.switched == ["mx1", "mx2"]
    assert said.startswith("mx2 differs in more than keys")


def test_a_node_that_is_late_with_something_else_than_dkim_keys_is_not_switched_over_and_over(
    stand: Stand,
) -> None:
    """E.g. with a certificate, which a switch does not bring."""
    stand.urgent = True
    stand.nodes |= {name: NodeSight(name) for name in ("mx1", "mx2")}
    said = stand.deploy({"mx1": (), "mx2": (SETTINGS,)})
    assert stand.switched == []
    assert said.startswith("mx2 differs in more than keys")


def test_a_node_that_falls_silent_during_a_hurried_switch_does_not_count_as_cured(stand: Stand) -> None:
    stand.urgent = stand.silent = True
    assert stand.deploy({"mx1": (KEY,), "mx2": (SETTINGS,)}).startswith("mx2 differs in more than keys")


def test_a_deploy_that_stops_at_a_sick_node_leaves_no_lost_key_on_the_others(stand: Stand) -> None:
    stand.sick = True
    stand.nodes |= {"mx2": NodeSight("mx2", signing=LOST)}
    said = stand.deploy({"mx1": (KEY,), "mx2": (KEY,)})
    assert (stand.deploys, stand.switched) == (1, ["mx1", "mx2"])
    assert said == "stopped: mx1 at “the exchange is healthy”: mx1: does not become healthy"


def test_what_was_done_to_nodes_is_said_of_their_keys() -> None:
    """It need not have been a deploy."""
    tended = Tended(Decision((), ()), 0, ("mx1", "mx2"), "")
    assert list(done(tended)) == ["keys brought to mx1, mx2"]
