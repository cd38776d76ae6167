"""A change that could cut the operator off is kept only when a session begun after it was loaded has come through."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mxfleet.fleet.model import Address
from roles import confirm
from roles.confirm import Change, arm, keep
from tests.unit.render.samples import fleet_of

FLEET = fleet_of("lab")
NODE = FLEET.nodes[0]
CHANGE = Change("rules", "the new firewall rules", "true", "nft -f next", "nft -f previous", "true")


@dataclass
class World:
    """A node on a virtual clock: `answers(seconds, family)` is what a session begun then reads, None if none comes through."""

    answers: Callable[[float, int], str | None]
    now: float = 0.0
    said: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    def run(self, fleet: Any, node: Any, address: Address, command: str) -> str | None:
        self.commands.append(command)
        found = self.answers(self.now, address.version)
        self.now += 4.0 if found is None else 0.2  # a session that does not come through costs its time-out
        return found

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def prove(monkeypatch: pytest.MonkeyPatch) -> Callable[[World], bool]:
    def run(world: World) -> bool:
        monkeypatch.setattr(confirm, "_run", world.run)
        monkeypatch.setattr(confirm, "say", lambda host, sentence: world.said.append(sentence))
        monkeypatch.setattr(time, "sleep", world.sleep)
        monkeypatch.setattr(time, "monotonic", lambda: world.now)
        return confirm._prove(None, None, CHANGE, FLEET, NODE, list(NODE.addresses))  # type: ignore[arg-type]

    return run


def test_rules_that_let_both_families_in_are_kept(prove: Callable[[World], bool]) -> None:
    world = World(lambda seconds, family: "armed" if seconds < 0.5 else "loaded")
    assert prove(world)
    assert world.said == []


def test_a_session_that_began_before_the_rules_were_loaded_proves_nothing(
    prove: Callable[[World], bool],
) -> None:
    """It rides on conntrack: it began before the load, reads `loaded`, and no other ever comes through."""
    seen = iter(["loaded"])
    world = World(lambda seconds, family: "undone" if seconds > 14 else next(seen, None))
    assert not prove(world)
    assert "would have cut ssh off" in world.said[0]


def test_one_family_that_is_cut_is_enough_to_go_back(prove: Callable[[World], bool]) -> None:
    world = World(lambda seconds, family: "undone" if seconds > 14 else "loaded" if family == 4 else None)
    assert not prove(world)
    assert "no new session came through over IPv6;" in world.said[0]
    assert "the node rolled back by itself after" in world.said[0]


def test_the_deploy_waits_until_the_node_has_gone_back_and_says_how_long_it_took(
    prove: Callable[[World], bool],
) -> None:
    world = World(lambda seconds, family: "undone" if seconds > confirm.UNDO_AFTER else None)
    assert not prove(world)
    assert "IPv4 and IPv6" in world.said[0]
    assert world.now < 30


def test_a_node_that_never_comes_back_is_told_apart(prove: Callable[[World], bool]) -> None:
    world = World(lambda seconds, family: None)
    assert not prove(world)
    assert "does not answer — reach it by its console" in world.said[0]


def test_rules_that_the_kernel_refuses_are_undone_at_once_with_its_words(
    prove: Callable[[World], bool],
) -> None:
    world = World(lambda seconds, family: "failed syntax error, line 3")
    assert not prove(world)
    assert world.said == ["the new firewall rules could not be loaded: syntax error, line 3"]
    assert "systemctl start mxfleet-undo-rules.service" in world.commands[-1]


def test_the_probe_gives_up_before_the_node_undoes() -> None:
    assert confirm.PROBE_FOR + 2 * 5 < confirm.UNDO_AFTER + 5
    assert confirm.UNDO_AFTER < 30


@pytest.mark.parametrize(("state", "kept"), [("loaded", True), ("undone", False), ("armed", False)])
def test_only_a_change_that_is_still_loaded_is_kept(state: str, kept: bool, tmp_path: Path) -> None:
    """The real shell, with systemctl and the directory replaced."""
    (tmp_path / "rules.state").write_text(state + "\n")
    script = keep(Change("rules", "the new firewall rules", "", "", "", f"touch {tmp_path}/kept"))
    script = "systemctl() { :; }\n" + script.replace(confirm.DIRECTORY, str(tmp_path))
    result = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (tmp_path / "kept").exists() is kept
    assert (result.returncode == 0) is kept
    assert ("undone before they were confirmed" in result.stderr) is not kept


def test_the_timer_that_undoes_is_armed_before_anything_is_loaded(tmp_path: Path) -> None:
    """The real shell again: what systemd-run is asked for, in order, and what the prepared scripts do."""
    change = Change(
        "rules",
        "the rules",
        f"touch {tmp_path}/prepared",
        f"touch {tmp_path}/new",
        f"rm -f {tmp_path}/new",
        "",
    )
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    for name, does in (("systemctl", "true"), ("systemd-run", f'echo "$*" >>{tmp_path}/asked')):
        (stubs / name).write_text(f"#!/bin/sh\n{does}\n")
        (stubs / name).chmod(0o755)
    script = arm(change).replace("/run/mxfleet", str(tmp_path))
    subprocess.run(["sh", "-c", script], check=True, env={"PATH": f"{stubs}:/usr/bin:/bin"})
    asked = (tmp_path / "asked").read_text().splitlines()
    directory = tmp_path / "confirm"
    assert [line.split()[-1] for line in asked] == [f"{directory}/rules.undo", f"{directory}/rules.load"]
    assert (tmp_path / "prepared").exists()
    assert not (tmp_path / "new").exists()
    subprocess.run(["sh", directory / "rules.load"], check=True)
    assert (tmp_path / "new").exists()
    assert (directory / "rules.state").read_text() == "loaded\n"
    subprocess.run(["sh", directory / "rules.undo"], check=True)
    assert not (tmp_path / "new").exists()
    assert (directory / "rules.state").read_text() == "undone\n"
