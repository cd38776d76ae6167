"""A copy of a queue takes the queue's place, or the queue is what it was: the shell for real, systemd replaced."""

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mxfleet.cli.queue_copies import EXCHANGE, refuse_damaged
from mxfleet.errors import DeployError

NODE: Any = SimpleNamespace(name="mx2")


def run(tmp_path: Path, refused: str = "") -> subprocess.CompletedProcess[bytes]:
    """On a node whose mxd does not start with a queue that says `refused`."""
    stubs, spool = tmp_path / "stubs", tmp_path / "spool.sqlite"
    stubs.mkdir()
    start = f'case "$1" in start) ! grep -qx "{refused}" {spool};; esac'
    for name, does in (("systemctl", start if refused else "true"), ("chown", "true"), ("mxd", "true")):
        (stubs / name).write_text(f"#!/bin/sh\n{does}\n")
        (stubs / name).chmod(0o755)
    script = EXCHANGE.replace("/var/lib/mxd/spool.sqlite", str(spool))
    script = script.replace("/opt/mxfleet/current/venv/bin/mxd", "mxd")
    environment = {**os.environ, "PATH": f"{stubs}:/usr/bin:/bin"}
    return subprocess.run(
        ["sh", "-c", script], input=b"new\n", capture_output=True, env=environment, check=False
    )


def test_the_old_queue_is_put_aside_whole(tmp_path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        (tmp_path / f"spool.sqlite{end}").write_text(f"old{end}")
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    aside = Path(done.stdout.decode().strip())
    assert (tmp_path / "spool.sqlite").read_text() == "new\n"
    assert [aside.with_name(aside.name + end).read_text() for end in ("", "-wal", "-shm")] == [
        "old", "old-wal", "old-shm",
    ]  # fmt: skip
    assert not (tmp_path / "spool.sqlite-wal").exists()


def test_a_queue_that_the_exchange_refuses_gives_its_place_back(tmp_path: Path) -> None:
    (tmp_path / "spool.sqlite").write_text("old\n")
    (tmp_path / "spool.sqlite-wal").write_text("old-wal")
    done = run(tmp_path, refused="new")
    assert done.returncode == 1
    assert b"the one before is back" in done.stderr
    assert (tmp_path / "spool.sqlite").read_text() == "old\n"
    assert (tmp_path / "spool.sqlite-wal").read_text() == "old-wal"
    assert (tmp_path / "spool.sqlite.refused").read_text() == "new\n"


def test_a_node_that_never_had_a_queue_gets_one(tmp_path: Path) -> None:
    assert run(tmp_path).returncode == 0
    assert (tmp_path / "spool.sqlite").read_text() == "new\n"


def test_something_else_than_a_queue_is_refused_before_the_node_is_touched(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database, but long enough to be read as one " * 20)
    with closing(sqlite3.connect(tmp_path / "other")) as database:
        database.execute("CREATE TABLE shopping (item)")
    for name in ("text", "other", "absent"):
        with pytest.raises(DeployError, match=r"mx2: .* is not a whole queue"):
            refuse_damaged(NODE, tmp_path / name)
