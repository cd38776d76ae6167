"""The contract of control groups on this machine's own kernel, beside the lab's tree."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mxfleet.lab import cgroup
from mxfleet.lab.cgroup import Tree


@pytest.fixture
def tree() -> Iterator[Tree]:
    """A tree of the machine's own kind under another name."""
    tree = replace(cgroup.here(), name="mxfleet-lab-test")
    tree.prepare()
    yield tree
    cgroup.kill(tree.root)
    tree.remove()


def sleeper(directory: Path) -> "subprocess.Popen[bytes]":
    script = f"echo 0 > {directory}/cgroup.procs; sleep 60 & exec sleep 60"
    return subprocess.Popen(["sh", "-c", script], start_new_session=True)


def test_a_group_ends_whole_its_groups_below_with_it(tree: Tree) -> None:
    group = cgroup.group(tree, "mxlab-test")
    (group / "payload").mkdir()
    processes = [sleeper(group / "payload"), sleeper(group / "payload")]
    assert cgroup.wait_until(lambda: len(cgroup.processes(group)) == 4, seconds=5)
    assert cgroup.populated(group)
    cgroup.kill(group)
    assert not cgroup.populated(group)
    assert [process.wait(timeout=5) for process in processes] == [-9, -9]


def test_removal_leaves_nothing(tree: Tree) -> None:
    (cgroup.group(tree, "mxlab-test") / "payload" / "init.scope").mkdir(parents=True)
    cgroup.kill(tree.root)
    tree.remove()
    assert cgroup.wait_until(lambda: not tree.root.exists(), seconds=5)


def test_an_empty_group_is_not_populated(tree: Tree) -> None:
    assert not cgroup.populated(cgroup.group(tree, "mxlab-test"))
    assert not cgroup.populated(tree.root / "never")
