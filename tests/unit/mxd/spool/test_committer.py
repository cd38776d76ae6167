"""The committer: who waits for whom, and what is promised when the disk does not take it."""

import asyncio
import errno
import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mxfleet.errors import SpoolError
from mxfleet.mxd.spool import log, schema
from mxfleet.mxd.spool.committer import Committer
from mxfleet.mxd.spool.inserts import Accepted, accepted
from mxfleet.mxd.spool.protocol import Envelope
from mxfleet.mxd.spool.turn import Turn


def letter(number: int = 0, body: bytes = b"text\r\n") -> Accepted:
    given = Envelope(trace=f"t{number}", sender="a@x.test", received=1.0, expires=2.0)
    return accepted(given, ["alice@corp.test"], b"Subject: x\r\n", body, None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    schema.create(tmp_path / "spool.sqlite")
    return tmp_path / "spool.sqlite"


@pytest.fixture
async def committer(path: Path) -> AsyncIterator[Committer]:
    made = Committer(path, lambda: None)
    yield made
    made.close()


def kept(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    found = [row[0] for row in connection.execute("SELECT trace FROM message ORDER BY id")]
    connection.close()
    return found


def size(path: Path) -> int:
    return path.stat().st_size


async def test_what_the_disk_does_not_take_is_promised_to_nobody(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_file: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(SpoolError, match=r"spool\.sqlite: not on the disk: .* Input/output error"):
        await committer.accept(letter())


async def test_who_waits_for_the_disk_is_told_only_after_it(
    path: Path, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def slow(_file: int) -> None:
        reached.set()
        go_on.wait(10)

    monkeypatch.setattr(os, "fdatasync", slow)
    waiting = committer.accept(letter())
    await asyncio.to_thread(reached.wait, 10)
    assert kept(path) == ["t0"]  # written, and not yet promised
    assert not waiting.done()
    go_on.set()
    await waiting


async def test_what_comes_during_a_sync_shares_the_next(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[int] = []
    monkeypatch.setattr(os, "fdatasync", syncs.append)
    first = committer.accept(letter(0))
    await asyncio.sleep(0)
    others = [committer.accept(letter(number)) for number in range(1, 20)]
    await asyncio.gather(first, *others)
    assert len(syncs) <= 2


async def test_after_a_crowd_a_message_waits_for_company_and_no_longer_than_its_patience(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mxfleet.mxd.spool.committer.PATIENCE", 0.2)
    await asyncio.gather(*(committer.accept(letter(number)) for number in range(5)))
    syncs: list[int] = []
    monkeypatch.setattr(os, "fdatasync", syncs.append)
    first = committer.accept(letter(5))
    await asyncio.sleep(0.02)
    assert not first.done()
    await asyncio.gather(first, *(committer.accept(letter(number)) for number in range(6, 17)))
    assert len(syncs) == 1  # twelve are company enough
    await asyncio.wait_for(committer.accept(letter(17)), 10)  # nobody comes, and it is committed all the same


async def test_nobody_waits_for_company_where_there_was_no_crowd(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mxfleet.mxd.spool.committer.PATIENCE", 60)
    for number in range(3):
        await asyncio.wait_for(committer.accept(letter(number)), 10)


async def test_other_work_does_not_wait_for_a_crowd(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mxfleet.mxd.spool.committer.PATIENCE", 60)
    await asyncio.gather(*(committer.accept(letter(number)) for number in range(5)))
    mail = committer.accept(letter(5))
    await asyncio.wait_for(asyncio.gather(committer.submit(lambda _: None), mail), 10)


async def test_the_loop_goes_on_while_it_is_another_process_s_turn(path: Path, committer: Committer) -> None:
    other = Turn(path)
    other.take()
    waiting = committer.accept(letter())
    await asyncio.sleep(0.05)  # the loop is not held up
    assert kept(path) == []
    other.give()
    await asyncio.wait_for(waiting, 10)
    other.close()
    assert kept(path) == ["t0"]


async def test_closing_commits_what_was_queued_and_refuses_what_comes_later(path: Path) -> None:
    committer = Committer(path, lambda: None)
    waiting = [committer.accept(letter(number)) for number in range(3)]
    committer.close()
    await asyncio.gather(*waiting)
    assert kept(path) == ["t0", "t1", "t2"]
    with pytest.raises(SpoolError, match="the spool is closed"):
        committer.accept(letter(4))


async def test_closing_waits_for_its_turn(path: Path) -> None:
    committer, other = Committer(path, lambda: None), Turn(path)
    other.take()
    waiting = committer.accept(letter())
    await asyncio.sleep(0.02)  # its thread stands in the queue for the turn
    threading.Timer(0.05, other.give).start()
    committer.close()
    await waiting
    assert kept(path) == ["t0"]


async def test_work_that_is_refused_harms_nobody_else_in_its_batch(path: Path, committer: Committer) -> None:
    def refuses(_connection: sqlite3.Connection) -> None:
        raise SpoolError("no")

    fine, refused = committer.accept(letter()), committer.submit(refuses)
    await fine
    with pytest.raises(SpoolError, match="no"):
        await refused
    assert kept(path) == ["t0"]


async def test_slow_work_is_done_beside_the_loop_and_other_work_in_it(committer: Committer) -> None:
    def where(_connection: sqlite3.Connection) -> str:
        return threading.current_thread().name

    assert await committer.submit(where, slow=True) == "committer"
    assert await committer.submit(where) == threading.main_thread().name


async def test_the_courier_is_woken_by_mail_and_by_nothing_else(path: Path) -> None:
    woken: list[str] = []
    committer = Committer(path, lambda: woken.append("woken"))
    await committer.submit(lambda _: None)
    assert woken == []
    await committer.accept(letter())
    assert woken == ["woken"]
    committer.close()


async def test_the_log_is_never_written_into_the_database_beside_a_writer(
    path: Path, committer: Committer
) -> None:
    await committer.accept(letter(0, b"x" * 200_000))
    before, other = size(path), Turn(path)
    other.take()
    shortening = asyncio.get_running_loop().run_in_executor(None, committer.log.shorten)
    await asyncio.sleep(0.1)
    assert not shortening.done()
    assert size(path) == before
    other.close()
    await asyncio.wait_for(shortening, 10)
    assert size(path) > before


async def test_the_log_is_written_into_the_database_while_mail_keeps_coming(
    path: Path, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "SHARE", 1_000_000)
    for number in range(60):
        await committer.accept(letter(number, b"x" * 200_000))
    assert size(path.with_name(path.name + "-wal")) < 8_000_000  # of 12 MB that came: it began again
    assert size(path) > 4_000_000
