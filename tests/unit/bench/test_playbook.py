"""The playbook that the bench generates does what our deploy does: every file, user and unit, and no secret in it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench import playbook
from mxfleet.fleet import Secret
from mxfleet.fleet.load import load_file
from mxfleet.fleet.signing import CertificateView, DkimKey, Signing
from mxfleet.fleet.transport_policy import policy_hosts
from mxfleet.render.desired import Desired, desire
from mxfleet.render.inputs import Inputs, named_by

FLEET = load_file(Path(__file__).resolve().parents[3] / "inventories" / "lab.py")
SECRET = "a-secret-that-must-not-stand-in-a-playbook"


@pytest.fixture(scope="module")
def nodes() -> dict[str, Desired]:
    names = [
        "mx.corp.test",
        "submit.corp.test",
        *(node.hostname for node in FLEET.nodes),
        *policy_hosts(FLEET),
    ]
    certificates = tuple(
        CertificateView(name, "chain\n", "00", datetime(2027, 1, 1, tzinfo=UTC), Secret(f"tls/{name}"))
        for name in names
    )
    key = DkimKey("corp.test", "r1", "rsa", "p", Secret("dkim/corp.test/r1"))
    inputs = Inputs("0.1.0+x", dict.fromkeys(named_by(FLEET), "text\n"))
    signing = Signing(dkim=(key,), certificates=certificates, authority_pem="ca")
    return {
        node.name: desire(FLEET, node, signing, inputs, lambda _: SECRET.encode()) for node in FLEET.nodes
    }


def test_every_file_of_every_node_is_placed_with_its_owner_and_mode(nodes: dict[str, Desired]) -> None:
    hosts = playbook.inventory(nodes, "/b")["mx"]["hosts"]
    for name, desired in nodes.items():
        variables = {key: value for key, value in hosts[name].items() if key.startswith("files_of_")}
        placed = {entry["dest"]: entry for files in variables.values() for entry in files}
        made = {one["path"] for one in hosts[name]["directories"]} | set(hosts[name]["parents"])
        assert {path.rpartition("/")[0] for path in placed} <= made
        assert placed.keys() == {file.path for file in desired.files}
        for file in desired.files:
            entry = placed[file.path]
            assert (entry["owner"], entry["group"], int(entry["mode"], 8)) == (
                file.owner,
                file.group,
                file.mode,
            )
            assert entry["src"] == f"/b/{name}{file.path}"


def test_every_role_s_files_have_a_task_and_every_service_a_handler(nodes: dict[str, Desired]) -> None:
    desired = nodes["mx1"]
    (play,) = playbook.playbook(desired, "/b/release.tar.gz")
    loops = {task["loop"] for task in play["tasks"] if "copy" in task and "loop" in task}
    assert loops == {"{{ files_of_" + file.role.replace("-", "_") + " }}" for file in desired.files}
    handlers = {handler["name"] for handler in play["handlers"]}
    assert {unit.name for unit in desired.units if unit.name.endswith(".service")} <= handlers
    (enabled,) = [task["loop"] for task in play["tasks"] if task["name"] == "units are enabled and run"]
    assert enabled == [unit.name for unit in desired.units]


def test_no_secret_stands_in_playbook_or_inventory(nodes: dict[str, Desired]) -> None:
    text = json.dumps([playbook.inventory(nodes, "/b"), playbook.playbook(nodes["mx1"], "/b/r")])
    assert SECRET not in text
    secret = {file.role for file in nodes["mx1"].files if file.secrets}
    (play,) = playbook.playbook(nodes["mx1"], "/b/r")
    hidden = {task["name"].split()[2] for task in play["tasks"] if task.get("no_log")}
    assert hidden == secret


def test_every_handler_that_is_notified_exists(nodes: dict[str, Desired]) -> None:
    (play,) = playbook.playbook(nodes["mx1"], "/b/r")
    known: set[str] = set()
    for handler in play["handlers"]:
        listens = handler.get("listen", [])
        known |= {handler["name"], *([listens] if isinstance(listens, str) else listens)}
    notified = {task["notify"] for task in play["tasks"] if isinstance(task.get("notify"), str)}
    for task in play["tasks"]:
        if isinstance(task.get("notify"), list):
            notified |= set(task["notify"])
    assert notified <= known
