"""Show 8: after `lab down` nothing of the lab is left on this machine."""

import subprocess
from pathlib import Path

import pytest

from mxfleet.lab import lifecycle

OURS = ("mxlab", "mxfleet-lab", "10.77.0.", "fd77:77:")
LOOKS = {
    "namespaces": ["ip", "netns"],
    "interfaces": ["ip", "-o", "address"],
    "routes": ["ip", "route", "show", "table", "all"],
    "routes of IPv6": ["ip", "-6", "route", "show", "table", "all"],
    "rules": ["nft", "list", "ruleset"],
    "mounts": ["mount"],
    "processes": ["ps", "-eo", "args"],
}


@pytest.mark.parametrize("what", LOOKS)
def test_nothing_of_ours_is_left(what: str) -> None:
    told = subprocess.run(LOOKS[what], capture_output=True, text=True, check=True).stdout
    assert [line for line in told.splitlines() if any(word in line for word in OURS)] == []


def test_no_guest_runs() -> None:
    told = subprocess.run(["ps", "-eo", "comm"], capture_output=True, text=True, check=True).stdout.split()
    assert "systemd-nspawn" not in told


def test_the_lab_s_own_look_finds_nothing() -> None:
    assert lifecycle.traces() == []


def test_no_file_of_the_running_lab_is_left() -> None:
    assert [str(path) for path in Path("/run").glob("mxfleet-lab*")] == []
