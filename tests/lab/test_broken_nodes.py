"""A node that is down, and a node on which a role fails: the deploy stops, says so, and can be finished later."""

from collections.abc import Callable
from pathlib import Path

from tests.lab.running import Lab

SETTINGS = "/etc/mxfleet/mxd.toml"
BLOCK = f"cp {SETTINGS} /run/blocked && mount --bind -o ro /run/blocked {SETTINGS}"
"""A file that something is mounted on cannot be replaced."""
UNBLOCK = f"umount {SETTINGS}; rm -f /run/blocked"
CHANGE = "policy=replace(_LAB.policy, recipients=99)"


def test_a_dead_node_stops_the_deploy_with_one_line_and_can_be_left_out(lab: Lab) -> None:
    dead = "mx2"
    with lab.powered_off(dead):
        done = lab.mxfleet("deploy")
        assert done.returncode == 1
        lines = (done.stderr or done.stdout).strip().splitlines()
        (line,) = [line for line in lines if dead in line]
        assert f"--exclude {dead}" in line
        without = lab.mxfleet("deploy", "--exclude", dead)
        assert without.returncode == 0, without.stdout + without.stderr
    lab.deploy()


def test_a_role_that_fails_on_one_node_keeps_later_nodes_as_they_are(
    lab: Lab, variant: Callable[[str], Path]
) -> None:
    first, broken, last = lab.roll_order()
    before = {node: lab.running(node) for node in (first, broken, last)}
    inventory = str(variant(CHANGE))
    lab.inside(broken, BLOCK)
    try:
        failed = lab.mxfleet("deploy", "--fleet", inventory)
    finally:
        lab.inside(broken, UNBLOCK)
    after = {node: lab.running(node) for node in (first, broken, last)}
    try:
        assert failed.returncode == 1
        assert broken in failed.stdout + failed.stderr
        assert after[broken] == before[broken]
        assert after[last] == before[last], "a later node loaded something new"
        lab.deploy("--fleet", inventory)
        changed = {node: lab.running(node) != before[node] for node in before}
        assert changed == dict.fromkeys(before, True), "the repeated run owes a restart"
    finally:
        lab.deploy()
    assert {node: lab.running(node) for node in before} == before
