"""The keeper: it starts what it is asked to, and nobody it started stays a zombie."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mxfleet.lab import keeper
from mxfleet.lab.cgroup import wait_until


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "keeper.sock"
    process = subprocess.Popen([sys.executable, "-m", "mxfleet.lab.keeper", str(path)])
    assert wait_until(path.exists, seconds=10)
    yield path
    process.kill()
    process.wait()


def wish(tmp_path: Path, *arguments: str) -> dict[str, object]:
    environment = {"PATH": "/usr/bin:/bin", "GREETING": "hello"}
    log = tmp_path / "log"
    return {"group": str(tmp_path), "arguments": arguments, "environment": environment, "log": str(log)}


def test_a_program_runs_in_its_group_with_its_environment(listening: Path, tmp_path: Path) -> None:
    pid = keeper.request(listening, wish(tmp_path, "sh", "-c", "echo $GREETING $$; exec 2>&-"))
    assert wait_until(lambda: "hello" in (tmp_path / "log").read_text(), seconds=5)
    assert (tmp_path / "log").read_text() == f"hello {pid}\n"
    assert (tmp_path / "cgroup.procs").read_text() == "0\n"


def test_what_ends_is_reaped_at_once_its_orphans_too(listening: Path, tmp_path: Path) -> None:
    script = "sleep 0.1 & echo $!; exit 3"
    pid = keeper.request(listening, wish(tmp_path, "sh", "-c", script))
    assert wait_until(lambda: (tmp_path / "log").read_text() != "", seconds=5)
    orphan = int((tmp_path / "log").read_text())
    assert wait_until(lambda: not Path(f"/proc/{pid}").exists(), seconds=5)
    assert wait_until(lambda: not Path(f"/proc/{orphan}").exists(), seconds=5)


def test_a_program_is_not_born_deaf_to_its_children(listening: Path, tmp_path: Path) -> None:
    """SIGCHLD ignored is inherited through exec, and nspawn would then never see its guest end."""
    keeper.request(listening, wish(tmp_path, "sh", "-c", "grep SigIgn /proc/self/status"))
    assert wait_until(lambda: "SigIgn" in (tmp_path / "log").read_text(), seconds=5)
    ignored = int((tmp_path / "log").read_text().split()[1], 16)
    assert ignored & 1 << (17 - 1) == 0


def test_requests_are_served_one_after_the_other(listening: Path, tmp_path: Path) -> None:
    begun = time.monotonic()
    pids = {keeper.request(listening, wish(tmp_path, "sleep", "5")) for _ in range(5)}
    assert len(pids) == 5
    assert time.monotonic() - begun < 4
    subprocess.run(["kill", *map(str, pids)], check=True)


def test_a_wish_that_cannot_be_met_is_answered(listening: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        keeper.request(listening, wish(tmp_path, "true") | {"log": str(tmp_path / "no" / "log")})
