"""What a server costs: CPU of a control group, children that ended included, and the memory of its processes."""

import contextlib
import os
import platform
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mxfleet.errors import MxfleetError

PACKAGES: Final = {
    "cc": "gcc",
    "/usr/include/openssl/ssl.h": "libssl-dev",
    "/usr/sbin/postfix": "postfix",
    "/usr/sbin/knotd": "knot",
    "/usr/sbin/unbound": "unbound",
    "gnuplot": "gnuplot-nox",
}

# What else runs on the machine shall disturb as little as possible, and a hundred processes no less than three.
FIRST: Final = ("nice", "-n", "-20")


class BenchError(MxfleetError):
    """A measurement that could not be made, or would not mean what it says."""


def require_packages() -> None:
    """Raise BenchError, with the command that helps, where a program or a privilege is missing."""
    missing = [
        package for name, package in PACKAGES.items() if not shutil.which(name) and not Path(name).exists()
    ]
    if missing:
        raise BenchError(
            "not installed: " + " ".join(missing), hint=f"sudo apt-get install {' '.join(missing)}"
        )
    if os.geteuid():
        raise BenchError("needs root: Postfix and control groups do", hint="sudo ./mxfleet … or a root shell")


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody has now."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for it; BenchError when it does not come."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise BenchError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.01)


def answers(port: int) -> bool:
    """Whether somebody listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Account:
    """A control group of its own; version 1's cpuacct or version 2's cpu.stat, whichever there is."""

    def __init__(self, name: str) -> None:
        """Make it; the name must be new."""
        self._directory, self._read = _hierarchy()
        self._directory = self._directory / f"mxfleet-bench-{os.getpid()}-{name}"
        self._directory.mkdir()

    def command(self, command: list[str]) -> list[str]:
        """The command, so that it and all its descendants are counted here."""
        enter = f'echo $$ > "{self._directory}/cgroup.procs" && exec "$@"'
        return ["/bin/sh", "-c", enter, "enter", *FIRST, *command]

    def seconds(self) -> float:
        """CPU time used so far."""
        return self._read(self._directory)

    def processes(self) -> list[int]:
        """Who is in it now; nobody once it was ended."""
        try:
            return [int(pid) for pid in (self._directory / "cgroup.procs").read_text().split()]
        except FileNotFoundError:
            return []

    def memory(self) -> float:
        """Proportional set size of all its processes together, in MB (10^6 octets)."""
        return sum(map(proportional_set, self.processes())) / 1e6

    def end(self) -> None:
        """End whoever is left, by process id, and remove the group."""
        until = time.monotonic() + 10
        while (left := self.processes()) and time.monotonic() < until:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        with contextlib.suppress(FileNotFoundError):
            self._directory.rmdir()


def proportional_set(pid: int) -> int:
    """PSS of one process in octets; 0 for one that has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)


def description(python: str) -> dict[str, str]:
    """The machine and the interpreter, as far as they matter to the figures."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1e6
    return {
        "cpu": f"{os.cpu_count()} × {cpu[0].partition(':')[2].strip() if cpu else platform.machine()}",
        "memory": f"{memory:.0f} GB",
        "kernel": platform.release(),
        "Python": f"{version.split()[1]} ({python})",
    }


def filesystem(path: Path) -> str:
    """The type of the file system that a path is on."""
    best = ("", "")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split(" ")
        if str(path.resolve()).startswith(mount.rstrip("/") + "/") and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]


def _hierarchy() -> tuple[Path, Callable[[Path], float]]:
    mounts = [line.split(" ") for line in Path("/proc/mounts").read_text().splitlines()]
    for _, mount, kind, options, *_ in mounts:
        if kind == "cgroup" and "cpuacct" in options.split(","):
            return Path(mount), lambda group: int((group / "cpuacct.usage").read_text()) / 1e9
    for _, mount, kind, *_ in mounts:
        if kind == "cgroup2":
            return Path(mount), lambda group: int((group / "cpu.stat").read_text().split()[1]) / 1e6
    raise BenchError(
        "no control groups to account CPU with", hint="mount -t cgroup2 none /sys/fs/cgroup/unified"
    )
