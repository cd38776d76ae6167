"""The lab on an ordinary systemd host: control groups in a delegated scope, and nothing left whatever dies when.

Also what cannot be tried on the lab that everybody uses: killing `up` and `down` at any moment, and taking over.
"""

import json
from collections.abc import Iterator

import pytest

from tests.lab.nested import MAIN, Operator, operator
from tests.lab.running import ROOT

OURS = "mxlab|mxfleet|nspawn|10[.]77|fd77:77|netns|keeper"
LOOK = f"""
{{ ip netns; ip -o link; ip route show table all; ip -6 route show table all; nft list ruleset; cat /proc/mounts
   ls -d /run/* /var/lib/* /run/systemd/*; find /sys/fs/cgroup -type d; ps -eo stat,args
}} 2>&1 | grep -E '{OURS}' | grep -vE 'grep|/images/' || true
"""
OTHER_OWNER = """
import os
from pathlib import Path
from mxfleet.fleet.load import load_file
from mxfleet.lab import image, lifecycle
lifecycle.boot(load_file(Path("{root}/inventories/single.py")), print, owner=Path("/other"), inventory="x",
               cache=image.cache_directory(os.environ), take_over={take_over})
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with operator(tmp_path_factory.mktemp("operator")) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_left(machine: Operator, before: str) -> Iterator[None]:
    """Whatever a test did to its lab, `down` ends it without a trace."""
    yield
    done = machine.mxfleet("lab", "down")
    assert done.returncode == 0, done.stderr
    assert machine.shell(LOOK) == before


@pytest.fixture(scope="module")
def before(machine: Operator) -> str:
    """What the machine shows that reminds of the lab although none was ever up."""
    return machine.shell(LOOK)


def test_the_lab_boots_in_a_scope_that_systemd_delegates(machine: Operator, before: str) -> None:
    done = machine.mxfleet("lab", "up", "--bare", "--json")
    assert done.returncode == 0, done.stderr
    assert all(guest["answers"] for guest in json.loads(done.stdout)["guests"].values())
    assert machine.shell("systemctl is-active mxfleet-lab.scope") == "active\n"
    assert machine.shell(LOOK) != before  # or the look would see nothing afterwards either
    assert machine.mxfleet("lab", "ssh", "mx1", "sudo id -u").stdout == "0\n"
    assert machine.mxfleet("lab", "power-off", "mx2").returncode == 0
    assert machine.mxfleet("lab", "power-on", "mx2").returncode == 0


def killed_after(machine: Operator, seconds: float, *words: str) -> None:
    """Run `mxfleet …` and kill it when it is that old; what it started by then goes on."""
    machine.run("timeout", "--signal=KILL", str(seconds), "/opt/venv/bin/python", "-c", MAIN, *words)


@pytest.mark.parametrize("seconds", [0.3, 0.8, 1.2, 1.6, 2.0])
def test_up_that_is_killed_leaves_a_lab_that_can_be_completed_or_ended(
    machine: Operator, seconds: float
) -> None:
    killed_after(machine, seconds, "lab", "up", "--bare")
    if seconds in (0.8, 1.6):
        done = machine.mxfleet("lab", "up", "--bare")
        assert done.returncode == 0, done.stderr


def test_down_that_is_killed_can_be_repeated(machine: Operator) -> None:
    machine.mxfleet("lab", "up", "--bare")
    killed_after(machine, 0.6, "lab", "down")


def test_guests_go_on_without_their_keeper_and_are_ended_without_it(machine: Operator) -> None:
    machine.mxfleet("lab", "up", "--bare")
    machine.shell("kill -9 $(cat /sys/fs/cgroup/system.slice/mxfleet-lab.scope/mxlab-keeper/cgroup.procs)")
    assert machine.mxfleet("lab", "ssh", "mx3", "true").returncode == 0
    assert machine.mxfleet("lab", "power-off", "mx3").returncode == 0
    assert machine.mxfleet("lab", "power-on", "mx3").returncode == 0


def test_another_clone_s_lab_is_ended_only_when_told_so(machine: Operator) -> None:
    machine.mxfleet("lab", "up", "--bare")
    asked = machine.python("-c", OTHER_OWNER.format(root=ROOT, take_over=False))
    assert "is up on this machine" in asked.stderr
    told = machine.python("-c", OTHER_OWNER.format(root=ROOT, take_over=True))
    assert told.returncode == 0, told.stderr
    assert "ending the lab of" in told.stdout
    refused = machine.mxfleet("lab", "down")
    assert "that of /other" in refused.stderr
    assert machine.mxfleet("lab", "down", "--take-over").returncode == 0
