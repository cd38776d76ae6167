"""What waits on a node that died: counted from its disk, which stays as it is."""

import sqlite3
from pathlib import Path

import pytest

from mxfleet.lab import dead_queue
from mxfleet.mxd.spool import schema


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Two messages accepted, one still arriving, one of three recipients done; the writer died, its log is full."""
    path = tmp_path / "spool.sqlite"
    schema.create(path)
    writer = schema.connect(path)
    for message, begun in ((1, None), (2, None), (3, 17.0)):
        values = (message, "t", begun, 0, 10, 1.0, b"", b"")
        writer.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        columns = "id, message, domain, due, attempts, token, reply"
        writer.execute(
            f"INSERT INTO delivery ({columns}) VALUES (?, ?, 'x.test', 0, 0, 0, '')", (message, message)
        )
        writer.execute("INSERT INTO recipient VALUES (?, 0, 'a@x.test', 'waiting', '')", (message,))
    writer.execute("INSERT INTO recipient VALUES (1, 1, 'b@x.test', 'delivered', '')")
    dead = tmp_path / "dead"
    dead.mkdir()
    for part in tmp_path.glob("spool.sqlite*"):
        (dead / part.name).write_bytes(part.read_bytes())  # as it lies there when the power goes
    writer.close()
    return dead / "spool.sqlite"


def contents(spool: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in spool.parent.iterdir()}


def test_recipients_that_wait_are_counted(spool: Path) -> None:
    assert dead_queue.count(spool) == 2


def test_the_dead_node_s_disk_is_not_written_to(spool: Path) -> None:
    before = contents(spool)
    assert "spool.sqlite-wal" in before
    dead_queue.count(spool)
    assert contents(spool) == before


def test_a_file_that_is_no_spool_counts_as_unknown(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    path.write_text("not a database")
    assert dead_queue.count(path) is None
    path.unlink()
    sqlite3.connect(path).close()
    assert dead_queue.count(path) is None
