"""Control groups (version 2): one for each guest, so that a guest can be ended whole, whatever runs in it.

Two ways to a place where groups may be made, with one contract: on a hybrid hierarchy without systemd as
PID 1 the lab makes its own directory; on a systemd host it asks for a delegated scope, because there the
tree belongs to systemd. From there on both are plain directories.
"""

import contextlib
import os
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mxfleet.errors import LabError

NAME = "mxfleet-lab"


class Tree(Protocol):
    """A place for the lab's groups."""

    @property
    def root(self) -> Path:
        """The directory under which groups are made; may not exist yet."""
        ...

    def prepare(self) -> None:
        """Make the root, once; repeating it does nothing."""
        ...

    def remove(self) -> None:
        """Remove the root, whose groups are empty."""
        ...


@dataclass(frozen=True, slots=True)
class OwnTree:
    """A directory of the lab's own in a version 2 hierarchy that nobody manages."""

    mount: Path
    name: str = NAME

    @property
    def root(self) -> Path:
        """`mxfleet-lab` directly under the mount."""
        return self.mount / self.name

    def prepare(self) -> None:
        """Make the directory."""
        self.root.mkdir(exist_ok=True)

    def remove(self) -> None:
        """Remove the directory and the groups in it."""
        remove_groups(self.root)


@dataclass(frozen=True, slots=True)
class ScopeTree:
    """A scope that systemd delegates to the lab; a sleeping process holds it open until the lab ends."""

    mount: Path
    ask: Callable[[list[str]], None]
    name: str = NAME

    @property
    def scope(self) -> str:
        """The scope's unit name."""
        return f"{self.name}.scope"

    @property
    def root(self) -> Path:
        """The scope's directory in system.slice."""
        return self.mount / "system.slice" / self.scope

    def prepare(self) -> None:
        """Start the scope; its holder moves to a leaf, since only leaves may have processes."""
        if (self.root / "holder").is_dir():
            return
        hold = (
            f"mkdir -p {self.root}/holder && echo 0 > {self.root}/holder/cgroup.procs && exec sleep infinity"
        )
        command = [
            "systemd-run",
            "--scope",
            "--collect",  # else a scope that was killed stays loaded as failed, and nobody gets its name
            "--quiet",
            f"--unit={self.scope}",
            "-p",
            "Delegate=yes",
            "sh",
            "-c",
            hold,
        ]
        # The name is refused while systemd has not noticed that the last scope is empty. That may be never: its
        # directory went before systemd looked into it. So the scope is stopped before its name is asked for again.
        again = ["sh", "-c", f"systemctl stop --quiet {self.scope}; exec {shlex.join(command)}"]
        for attempt in (command, *[again] * 5):
            self.ask(attempt)
            if wait_until(lambda: (self.root / "holder").is_dir(), seconds=4):
                return
        raise LabError(f"systemd gave no scope {self.scope}", hint=f"see: systemctl status {self.scope}")

    def remove(self) -> None:
        """End the holder; systemd removes a scope in which nothing runs."""
        kill(self.root)
        remove_groups(self.root)


def detect(mounts: str, systemd: bool) -> OwnTree | ScopeTree:
    """The tree for this machine; `mounts` is the text of /proc/mounts, `systemd` whether it is PID 1."""
    found = [line.split()[1] for line in mounts.splitlines() if line.split()[2:3] == ["cgroup2"]]
    if not found:
        raise LabError(
            "this machine has no version 2 control groups",
            hint="mount -t cgroup2 none /sys/fs/cgroup/unified",
        )
    mount = Path(found[0])
    return ScopeTree(mount, start_detached) if systemd else OwnTree(mount)


def here() -> OwnTree | ScopeTree:
    """The tree of the machine that this runs on."""
    return detect(Path("/proc/mounts").read_text(encoding="utf-8"), Path("/run/systemd/system").is_dir())


def start_detached(command: list[str]) -> None:
    """Start a program that outlives this one."""
    subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def group(tree: Tree, name: str) -> Path:
    """The directory of one group, made where it is not there."""
    directory = tree.root / name
    directory.mkdir(exist_ok=True)
    return directory


def populated(directory: Path) -> bool:
    """Whether any process is in the group or below it."""
    try:
        return "populated 1" in (directory / "cgroup.events").read_text(encoding="ascii")
    except OSError:
        return False


def processes(directory: Path) -> list[int]:
    """The processes in the group and below it."""
    found: list[int] = []
    for path, _, _ in os.walk(directory):  # which, unlike rglob(), bears that a group ends while it is read
        with contextlib.suppress(OSError):
            found += map(int, (Path(path) / "cgroup.procs").read_text(encoding="ascii").split())
    return found


def kill(directory: Path, seconds: float = 5) -> None:
    """End every process in the group at once, as a power failure does, and wait until none is left."""
    switch = directory / "cgroup.kill"
    if not switch.exists():
        return
    with contextlib.suppress(OSError):  # gone between the look and the write
        switch.write_text("1", encoding="ascii")
    if not wait_until(lambda: not populated(directory), seconds):
        raise LabError(
            f"processes in {directory} do not end: {processes(directory)}", hint="mxfleet lab down"
        )


def remove_groups(directory: Path) -> None:
    """Remove the group and those below it, leaves first; a group that is gone already is no error."""
    for path, _, _ in os.walk(directory, topdown=False):
        with contextlib.suppress(FileNotFoundError):
            wait_until(lambda path=path: removed(Path(path)), seconds=2)  # type: ignore[misc]


def removed(directory: Path) -> bool:
    """Remove one group; false while the kernel still counts a dying process in it."""
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], seconds: float, step: float = 0.01) -> bool:
    """Poll until the condition holds; false when it did not within `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(step)
    return True
