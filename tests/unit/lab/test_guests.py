"""What a guest leaves on the host, and how it is started."""

import subprocess
import sys
from pathlib import Path

import pytest

from mxfleet.lab import guests
from mxfleet.lab.plan import Plan

HOLD = """
import fcntl, struct, sys
file = open(sys.argv[1], "r+b")
fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK, as nspawn does
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_that_a_running_nspawn_holds_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests, "NSPAWN_RUNTIME", tmp_path)
    (tmp_path / "locks").mkdir()
    held, stale = tmp_path / "locks" / "inode-1:1", tmp_path / "locks" / "inode-2:2"
    held.touch()
    stale.touch()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, held], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        guests.remove_traces()
        assert held.exists()
        assert not stale.exists()
    guests.remove_traces()
    assert not tmp_path.exists()


def test_only_the_lab_s_exports_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests, "NSPAWN_RUNTIME", tmp_path)
    for name in ("mxlab-mx1", "somebody-else"):
        (tmp_path / "propagate" / name).mkdir(parents=True)
    guests.remove_traces()
    assert [path.name for path in (tmp_path / "propagate").iterdir()] == ["somebody-else"]


def test_each_guest_has_its_own_namespace_and_the_network_s_settings_are_its_own(plan: Plan) -> None:
    words = guests.nspawn(plan.guests[0])
    assert "--network-namespace-path=/run/netns/mxlab-mx1" in words
    assert "--hostname=mx1" in words
    assert guests.NSPAWN_ENVIRONMENT["SYSTEMD_NSPAWN_API_VFS_WRITABLE"] == "network"
    assert any("CAP_NET_ADMIN" in word for word in words)
