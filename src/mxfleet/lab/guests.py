"""Boot a guest, find it, run something in it, cut its power."""

import contextlib
import fcntl
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mxfleet.errors import LabError
from mxfleet.lab import cgroup, keeper, network, root
from mxfleet.lab.command import attempt
from mxfleet.lab.plan import PREFIX, Guest
from mxfleet.lab.state import DIRECTORY

KEEPER = DIRECTORY / "keeper.sock"
KEEPER_GROUP = f"{PREFIX}keeper"
CAPABILITIES = "CAP_NET_ADMIN,CAP_IPC_LOCK,CAP_SYS_NICE"
"""Beyond nspawn's own: nftables and addresses; locked memory; keepalived's scheduling."""
NSPAWN_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",  # else the guest cannot set net.* sysctls
}
NSPAWN_RUNTIME = Path("/run/systemd/nspawn")
GUEST_ENVIRONMENT = {"PATH": NSPAWN_ENVIRONMENT["PATH"], "HOME": "/root", "LANG": "C.UTF-8"}


def nspawn(guest: Guest) -> list[str]:
    """The systemd-nspawn command line of one guest."""
    return [
        "systemd-nspawn", "--quiet", "--keep-unit", "--register=no", "--boot",
        "--kill-signal=SIGRTMIN+3", "--link-journal=no", "--resolv-conf=off", "--timezone=off",
        f"--directory={root.directory(guest.name)}",
        f"--network-namespace-path=/run/netns/{guest.machine}",
        f"--machine={guest.machine}", f"--hostname={guest.name}", f"--capability={CAPABILITIES}",
    ]  # fmt: skip


def boot(guest: Guest, tree: cgroup.Tree) -> None:
    """Start the guest in its own control group; its files and network are there already."""
    forget_exports(guest.machine)  # a newer nspawn refuses to start over what a killed one left
    wish = {
        "group": str(cgroup.group(tree, guest.machine)),
        "arguments": nspawn(guest),
        "environment": NSPAWN_ENVIRONMENT,
        "log": str(DIRECTORY / f"{guest.name}.console"),
    }
    keep(wish, tree)
    if not cgroup.wait_until(lambda: runs(guest.name), seconds=5):
        raise LabError(f"{guest.name} did not start: {last_words(guest.name)}")


def keep(wish: dict[str, Any], tree: cgroup.Tree) -> None:
    """Have the keeper start a program, and start the keeper where it is not there; raises OSError."""
    try:
        keeper.request(KEEPER, wish)
    except (ConnectionRefusedError, FileNotFoundError):
        start_keeper(tree)
        keeper.request(KEEPER, wish)


def start_keeper(tree: cgroup.Tree) -> None:
    """Start the parent of all guests, in a control group of its own."""
    with contextlib.suppress(FileNotFoundError):
        KEEPER.unlink()
    enter = 'echo 0 > "$0/cgroup.procs" && exec "$@"'
    module = [sys.executable, "-I", "-m", "mxfleet.lab.keeper", str(KEEPER)]
    cgroup.start_detached(["sh", "-c", enter, str(cgroup.group(tree, KEEPER_GROUP)), *module])
    if not cgroup.wait_until(KEEPER.exists, seconds=10):
        raise LabError("the keeper of the guests did not start", hint="mxfleet lab down, then up again")


def init_pid(guest: str) -> int:
    """The guest's PID 1 as the host numbers it; raises LabError where the guest does not run."""
    for pid in cgroup.processes(group(guest) / "payload"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
                if line.startswith("NSpid:") and line.split()[2:] == ["1"]:
                    return pid
    raise LabError(f"guest {guest} does not run", hint=f"mxfleet lab power-on {guest}")


def runs(guest: str) -> bool:
    """Whether anything of the guest runs."""
    return cgroup.populated(group(guest))


def group(guest: str) -> Path:
    """The guest's control group."""
    return cgroup.here().root / f"{PREFIX}{guest}"


def run(
    guest: str,
    command: Sequence[str],
    input: bytes = b"",  # noqa: A002  (as subprocess.run calls it)
    timeout: float = 60,
    check: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command as root inside the guest, with a clean environment; output is bytes.

    `check` raises LabError on any exit code but 0. A command that takes longer than `timeout` seconds is
    ended and raises LabError.
    """
    words = enter(guest, command)
    try:
        done = subprocess.run(words, input=input, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{guest}: {' '.join(command)}: no end after {timeout:.0f} s") from error
    if check and done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise LabError(f"{guest}: {' '.join(command)} failed ({done.returncode}): {'; '.join(said)}")
    return done


def enter(guest: str, command: Sequence[str]) -> list[str]:
    """The command line that runs `command` inside the guest, for a subprocess of the caller's own."""
    namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
    environment = [f"{name}={value}" for name, value in GUEST_ENVIRONMENT.items()]
    target = ["nsenter", "--target", str(init_pid(guest)), *namespaces, "--root", "--wd"]
    return [*target, "env", "-i", *environment, *command]


def power_off(guest: Guest, tree: cgroup.Tree) -> float:
    """Cut the guest's power: its port goes down first, then everything in it ends; the moment (monotonic).

    Killing alone is not a power failure: the namespace would keep the addresses, and its kernel go on
    answering for them. So it goes last, and a guest without power has none.
    """
    network.port(guest.name, "down")
    moment = time.monotonic()
    cgroup.kill(tree.root / guest.machine)
    network.forget(guest)
    return moment


def power_on(guest: Guest, tree: cgroup.Tree) -> None:
    """Boot a guest from its own disk, with a network namespace that remembers nothing, as a machine would."""
    cgroup.kill(tree.root / guest.machine)
    cgroup.remove_groups(tree.root / guest.machine)
    network.forget(guest)
    network.build([guest])
    boot(guest, tree)


def last_words(guest: str) -> str:
    """The last line that the guest wrote to its console."""
    with contextlib.suppress(OSError, IndexError):
        text = (DIRECTORY / f"{guest}.console").read_text(encoding="utf-8", errors="replace")
        return text.strip().splitlines()[-1]
    return "it said nothing"


def remove_traces() -> None:
    """Remove what a killed nspawn leaves on the host under /run/systemd/nspawn."""
    forget_exports(f"{PREFIX}*")
    for path in (NSPAWN_RUNTIME / "locks").glob("inode-*"):
        _remove_if_unheld(path)
    for path in (*(NSPAWN_RUNTIME / name for name in ("locks", "propagate", "unix-export")), NSPAWN_RUNTIME):
        with contextlib.suppress(OSError):  # others' machines may use it
            path.rmdir()


def _remove_if_unheld(path: Path) -> None:
    """Remove a lock file unless a running nspawn holds it; as nspawn does with its own when it ends in peace."""
    with contextlib.suppress(OSError), path.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nspawn locks by fcntl(2), not flock(2)
        path.unlink()


def forget_exports(machine: str) -> None:
    """Unmount and remove the directories that nspawn made for machines of that name (a glob pattern)."""
    for path in NSPAWN_RUNTIME.glob(f"*/{machine}"):
        if path.is_mount():
            attempt(["umount", str(path)])
        with contextlib.suppress(OSError):
            path.rmdir()
