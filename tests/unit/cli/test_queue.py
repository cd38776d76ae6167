"""`mxfleet queue` asks every node and says what each answered."""

import json
from pathlib import Path

import pytest

from mxfleet import cli
from mxfleet.cli import nodes
from mxfleet.fleet import Fleet, Node

LAB = str(Path(__file__).resolve().parents[3] / "inventories" / "lab.py")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    scripts: list[str] = []

    def answer(_: Fleet, chosen: list[Node], script: str) -> list[nodes.Answer]:
        scripts.append(script)
        found = [nodes.Answer(node.name, '{"changed":2,"busy":1}') for node in chosen]
        return [*found[:-1], nodes.Answer(chosen[-1].name, "", "port 22 does not answer")]

    monkeypatch.setattr("mxfleet.cli.queue.ask_all", answer)
    return scripts


def test_a_change_goes_to_all_nodes_and_says_what_each_did(
    asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(["queue", "hold", "--fleet", LAB, "--domain", "peer.test; reboot"])
    assert code == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "mx1: 2 held; 1 being tried at this moment",
        "mx2: 2 held; 1 being tried at this moment",
    ]
    assert said.err == "mxfleet: mx3: port 22 does not answer\n"
    assert asked == ["/opt/mxfleet/current/venv/bin/mxd queue hold '--domain=peer.test; reboot' --json\n"]


def test_as_json_each_node_has_its_answer_or_its_error(
    asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["queue", "reroute", "--fleet", LAB, "--all", "--to", "192.0.2.1:25", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["nodes"]
    assert found["mx1"] == {"changed": 2, "busy": 1}
    assert found["mx3"] == {"error": "port 22 does not answer"}
    assert asked == ["/opt/mxfleet/current/venv/bin/mxd queue reroute --to=192.0.2.1:25 --all --json\n"]


def test_a_node_that_does_not_exist_is_no_silence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["queue", "summary", "--fleet", LAB, "--node", "mx9"]) == 1
    assert "has no node 'mx9'" in capsys.readouterr().err
