"""The committer: who waits for whom, and what is promised when the disk does not take it."""

import asyncio
import errno
import os
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mxfleet.errors import SpoolError
from mxfleet.mxd.spool import log, schema
from mxfleet.mxd.spool.committer import Committer
from mxfleet.mxd.spool.inserts import Accepted, accepted
from mxfleet.mxd.spool.protocol import CHUNK, Envelope
from mxfleet.mxd.spool.sqlite import SqliteSpool
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


def fails_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [OSError(errno.EIO, os.strerror(errno.EIO))]
    sync = os.fdatasync

    def disk(file: int) -> None:
        if answers:
            raise answers.pop()
        sync(file)

    monkeypatch.setattr(os, "fdatasync", disk)


async def test_after_a_failed_sync_nothing_is_promised_on_the_strength_of_that_log(
    path: Path, committer: Committer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes the refused pages for written; they and all behind them would be gone after a power cut."""
    fails_once(monkeypatch)
    with pytest.raises(SpoolError):
        await committer.accept(letter(0))
    await committer.accept(letter(1))
    survivor = tmp_path / "survivor.sqlite"
    shutil.copy(path, survivor)  # without its log
    assert kept(survivor) == ["t0", "t1"]


async def test_while_the_log_cannot_be_begun_anew_nothing_is_promised(
    path: Path, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY", 0.05)
    await committer.accept(letter(0))
    fails_once(monkeypatch)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM message").fetchone()
    with pytest.raises(SpoolError):
        await committer.accept(letter(1))
    with pytest.raises(
        SpoolError, match="after a failed sync the log cannot be written anew, somebody reads it"
    ):
        await committer.accept(letter(2))
    reader.close()
    await committer.accept(letter(3))


async def test_a_large_message_that_a_failed_sync_left_in_doubt_stays_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session discards what it had staged; the courier may have found the message already."""
    spool = SqliteSpool(path)
    staged = await spool.stage(None, b"x" * CHUNK)
    fails_once(monkeypatch)
    with pytest.raises(SpoolError):
        await spool.accept(letter().envelope, ["alice@corp.test"], b"", b"rest", staged)
    await spool.discard(staged)
    (lease,) = await spool.claim("courier", 10.0, 60.0, 5)
    assert await spool.chunk(lease.message.number, 0) == b"x" * CHUNK
    spool.close()


async def test_pieces_of_large_messages_count_towards_the_log(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "SHARE", 2_000_000)
    shortened: list[Committer] = []
    monkeypatch.setattr(Committer, "shorten", lambda committer: shortened.append(committer))
    spool = SqliteSpool(path)
    staged = None
    for _ in range(60):
        staged = await spool.stage(staged, b"x" * CHUNK)
    spool.close()
    assert 6 <= len(shortened) <= 8  # once for each share of nearly 16 MB


async def test_closing_does_not_wait_for_who_waits_for_its_turn(path: Path) -> None:
    for _ in range(5):
        committer, other = Committer(path, lambda: None), Turn(path)
        other.take()
        waiting = committer.accept(letter())
        await asyncio.sleep(0.01)  # its thread waits for the turn, and so does the one that shortens the log
        committer.shorten()
        threading.Timer(0.02, other.give).start()
        closing = threading.Thread(target=committer.close, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, 10)
        assert not closing.is_alive()
        await asyncio.wait_for(waiting, 10)
        other.close()


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
    assert len(syncs) == 1
    await asyncio.wait_for(committer.accept(letter(17)), 10)  # nobody comes, and it is committed all the same


async def test_as_many_as_came_the_last_time_are_company_enough(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mxfleet.mxd.spool.committer.PATIENCE", 60)
    for _ in range(3):  # five sessions, none of which has more to say before it is answered
        await asyncio.wait_for(asyncio.gather(*(committer.accept(letter(number)) for number in range(5))), 10)


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
