"""Control groups: which tree a machine has, and what both kinds of tree must do (here on a directory that acts)."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mxfleet.errors import LabError
from mxfleet.lab import cgroup
from mxfleet.lab.cgroup import OwnTree, ScopeTree, Tree

HYBRID = """\
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
"""
UNIFIED = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"


def test_a_hybrid_hierarchy_without_systemd_gives_the_lab_its_own_directory() -> None:
    assert cgroup.detect(HYBRID, systemd=False).root == Path("/sys/fs/cgroup/unified/mxfleet-lab")


def test_a_systemd_host_gives_the_lab_a_scope() -> None:
    tree = cgroup.detect(UNIFIED, systemd=True)
    assert tree.root == Path("/sys/fs/cgroup/system.slice/mxfleet-lab.scope")


def test_a_machine_without_version_2_is_told_how_to_get_it() -> None:
    with pytest.raises(LabError, match="no version 2 control groups"):
        cgroup.detect("tmpfs / tmpfs rw 0 0\n", systemd=False)


def own(mount: Path) -> Tree:
    return OwnTree(mount)


def scope(mount: Path) -> Tree:
    """A scope whose systemd makes the directories that the real one would."""

    def systemd(command: list[str]) -> None:
        assert command[:2] == ["systemd-run", "--scope"]
        assert "Delegate=yes" in command
        (mount / "system.slice" / "mxfleet-lab.scope" / "holder").mkdir(parents=True)

    return ScopeTree(mount, systemd)


@pytest.fixture(params=[own, scope], ids=["own directory", "delegated scope"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    make: Callable[[Path], Tree] = request.param
    return make(tmp_path)


def test_a_prepared_tree_takes_groups(tree: Tree) -> None:
    tree.prepare()
    assert cgroup.group(tree, "mxlab-mx1").is_dir()


def test_preparing_again_changes_nothing(tree: Tree) -> None:
    tree.prepare()
    directory = cgroup.group(tree, "mxlab-mx1")
    tree.prepare()
    assert directory.is_dir()


def test_removal_takes_groups_and_those_below_them(tree: Tree) -> None:
    tree.prepare()
    (cgroup.group(tree, "mxlab-mx1") / "payload" / "init.scope").mkdir(parents=True)
    tree.remove()
    assert not tree.root.exists()


def test_removing_a_tree_that_never_was_is_no_error(tree: Tree) -> None:
    tree.remove()
    assert not tree.root.exists()


def test_a_group_whose_processes_do_not_end_is_an_error_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    (tmp_path / "cgroup.procs").write_text("4711\n")
    (tmp_path / "cgroup.kill").touch()
    with pytest.raises(LabError, match="4711"):
        cgroup.kill(tmp_path, seconds=0.05)
    assert (tmp_path / "cgroup.kill").read_text() == "1"


def test_killing_a_group_that_is_gone_is_no_error(tmp_path: Path) -> None:
    cgroup.kill(tmp_path / "gone")


def test_processes_of_all_groups_below_are_found(tmp_path: Path) -> None:
    (tmp_path / "payload").mkdir()
    (tmp_path / "cgroup.procs").write_text("")
    (tmp_path / "payload" / "cgroup.procs").write_text("12\n13\n")
    assert cgroup.processes(tmp_path) == [12, 13]


def test_no_systemd_that_gives_a_scope_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "wait_until", lambda *_, **__: False)
    with pytest.raises(LabError, match="systemd gave no scope"):
        ScopeTree(tmp_path, lambda _: None).prepare()


def test_a_scope_that_systemd_still_takes_for_running_is_stopped_before_its_name_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def systemd(command: list[str]) -> None:
        asked.append(command)
        if len(asked) == 2:
            (tmp_path / "system.slice" / "mxfleet-lab.scope" / "holder").mkdir(parents=True)

    monkeypatch.setattr(cgroup, "wait_until", lambda done, **_: done())
    ScopeTree(tmp_path, systemd).prepare()
    assert asked[0][0] == "systemd-run"
    assert asked[1][:2] == ["sh", "-c"]
    assert asked[1][2].startswith("systemctl stop --quiet mxfleet-lab.scope; exec systemd-run --scope")
