"""A 250 means that the message is on the disk: watched from outside, and by cutting the power at any moment."""

import asyncio
import os
import random
import re
import signal
import smtplib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mxfleet.mxd.spool.sqlite import SqliteSpool
from tests.contract import spool_writer, traced
from tests.contract.traced import Call, Disk

# Runs what follows with SQLite's synchronous turned off, whatever the spool asks for; small checkpoints on request.
WEAKENED = """
import os, runpy, sqlite3, sys
class Weak(sqlite3.Connection):
    def execute(self, sql, *rest):
        if os.environ.get("WEAK") == "synchronous":
            sql = sql.replace("synchronous = NORMAL", "synchronous = OFF")
        return super().execute(sql, *rest)
connect = sqlite3.connect
sqlite3.connect = lambda *a, **k: connect(*a, **{**k, "factory": Weak})
sys.argv = sys.argv[1:]
from mxfleet.mxd.spool import log
log.SHARE = int(os.environ.get("CHECKPOINT") or log.SHARE)
if sys.argv[0] == "mxd":
    from mxfleet.mxd.command import main
    sys.exit(main())
runpy.run_path(sys.argv[0], run_name="__main__")
"""
SETTINGS = """
[node]
name = "mx1"
hostname = "mx1.corp.test"
release = "0"
address4 = "127.0.0.1"
[service]
hostname = "mx.corp.test"
workers = 2
[paths]
spool = "{directory}/spool.sqlite"
runtime = "{directory}/run"
accounts = "{directory}/accounts.toml"
[delivery]
attempts = 0
[[domain]]
name = "corp.test"
recipients = ["alice"]
[domain.route]
kind = "lmtp"
host = "127.0.0.1"
port = 1
"""
SESSIONS, EACH = 6, 8


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def under_strace(log: Path, arguments: list[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """The program traced, and its whole process group ended."""
    command = traced.strace(log, [sys.executable, "-c", WEAKENED, *arguments])
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | environment, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def send(port: int, session: int) -> None:
    """A few messages, each larger than a page, so that its octets are in pages of its own."""
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        for number in range(EACH):
            marker = f"marker-{session}-{number}-"
            text = f"From: a@x.test\r\nSubject: x\r\n\r\n{(marker * 12 + chr(13) + chr(10)) * 60}"
            client.sendmail("a@x.test", ["alice@corp.test"], text)


def serve_and_send(directory: Path, weak: str) -> list[Call]:
    """What a real mxd did while six sessions sent eight messages each."""
    port = free_port()
    (directory / "run").mkdir()
    (directory / "mxd.toml").write_text(SETTINGS.format(directory=directory))
    serve = ["mxd", "--settings", str(directory / "mxd.toml"), "serve", f"--listen=smtp=127.0.0.1:{port}"]
    with under_strace(directory / "trace", serve, WEAK=weak) as process:
        until = time.monotonic() + 60
        while not (directory / "run" / "digest").exists():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        threads = [threading.Thread(target=send, args=(port, n)) for n in range(SESSIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        process.wait(60)
    return traced.read(directory / "trace")


def early(calls: list[Call], log: str) -> tuple[list[str], int]:
    """The messages whose 250 left before their transaction was synced, and how many 250s there were."""
    transactions = list(traced.transactions(calls, log))
    syncs = [c for c in calls if c.name in ("fsync", "fdatasync") and c.path == log and c.result == 0]
    answers = [c for c in calls if c.name == "sendto" and c.data.startswith(b"250 2.0.0 accepted as ")]
    found = []
    for answer in answers:
        trace = re.match(rb"250 2.0.0 accepted as (\S+)", answer.data)
        assert trace
        own = [t for t in transactions if any(trace[1] in write.data for write in t)]
        assert own, f"{trace[1]!r} was answered and never written"
        last = own[0][-1]  # the first transaction that holds it is its own; later ones share its pages
        if not any(last.ended < sync.begun and sync.ended < answer.begun for sync in syncs):
            found.append(trace[1].decode())
    return found, len(answers)


def test_each_250_leaves_after_the_sync_of_all_that_was_written_of_its_message(tmp_path: Path) -> None:
    calls = serve_and_send(tmp_path, weak="")
    assert early(calls, str(tmp_path / "spool.sqlite-wal")) == ([], SESSIONS * EACH)


def test_the_test_above_fails_where_sqlite_does_not_sync(tmp_path: Path) -> None:
    calls = serve_and_send(tmp_path, weak="synchronous")
    too_early, answers = early(calls, str(tmp_path / "spool.sqlite-wal"))
    assert len(too_early) == answers == SESSIONS * EACH


def write_and_kill(directory: Path, weak: str, messages: int) -> list[Call]:
    """What a writer did to its files until it had promised so many messages, checkpoints included."""
    path = directory / "spool"
    arguments = [spool_writer.__file__, str(path), "w"]
    with under_strace(directory / "trace", arguments, WEAK=weak, CHECKPOINT="800000") as process:
        assert process.stdout
        for _ in range(messages):
            assert process.stdout.readline()
    return traced.read(directory / "trace")


def promised(calls: list[Call], moment: int) -> set[str]:
    """The messages whose promise was given before that moment."""
    said = [c for c in calls if c.name == "write" and c.begun < moment and c.numbers[-1:] == (len(c.data),)]
    return {c.data.decode().strip() for c in said if re.fullmatch(rb"w-\d+\n", c.data)}


def leave(directory: Path, calls: list[Call], moment: int, chance: random.Random) -> None:
    """Write the files that a power cut at that moment leaves; the shared memory beside them is gone."""
    disk = Disk()
    disk.replay(calls, moment)
    directory.mkdir()
    for name, octets in disk.cut(chance).items():
        if Path(name).name in ("spool", "spool-wal"):
            (directory / Path(name).name).write_bytes(octets)


async def broken(directory: Path, calls: list[Call], seed: int) -> set[str]:
    """The promised messages that are not there, once and whole, after a power cut at a random moment."""
    chance = random.Random(seed)
    acknowledged = [c.begun for c in calls if re.fullmatch(rb"w-\d+\n", c.data)]
    moment = chance.choice(acknowledged) + chance.randrange(1, 40)
    leave(directory, calls, moment, chance)
    try:
        found = await whole(directory / "spool")
    except Exception:  # whatever a damaged file makes of it: then nothing is there
        found = []
    return {trace for trace in promised(calls, moment) if found.count(trace) != 2}


async def whole(path: Path) -> list[str]:
    """The trace of each delivery whose message is as it was given; each message has two."""
    spool, found = SqliteSpool(path), []
    try:
        await spool.sweep(9e9)
        while leases := await spool.claim("test", 200.0, 30.0, 200):
            for lease in leases:
                message = lease.message
                rest = [await spool.chunk(message.number, n) for n in range(1, message.chunks)]
                if b"".join([message.first, *rest]) == spool_writer.body(message.envelope.trace):
                    found.append(message.envelope.trace)
    finally:
        spool.close()
    return found


async def test_a_power_cut_at_any_moment_leaves_each_promised_message_whole(tmp_path: Path) -> None:
    calls = await asyncio.to_thread(write_and_kill, tmp_path, "", 60)
    assert any(c.name == "pwrite64" and c.path.endswith("/spool") for c in calls), "no checkpoint was seen"
    for seed in range(40):
        assert await broken(tmp_path / f"cut-{seed}", calls, seed) == set(), f"seed {seed}"


async def test_the_power_cuts_lose_mail_where_sqlite_does_not_sync(tmp_path: Path) -> None:
    calls = await asyncio.to_thread(write_and_kill, tmp_path, "synchronous", 60)
    lost = [await broken(tmp_path / f"cut-{seed}", calls, seed) for seed in range(10)]
    assert sum(1 for each in lost if each) >= 8


def test_the_disk_of_these_tests_keeps_what_was_synced_and_may_lose_the_rest() -> None:
    calls = [
        Call(1, "openat", "/d/f", b"", (), 0, 1, 3),
        Call(1, "fsync", "/d", b"", (), 2, 3, 0),
        Call(1, "pwrite64", "/d/f", b"a" * 1024, (1024, 0), 4, 5, 1024),
        Call(1, "fdatasync", "/d/f", b"", (), 6, 7, 0),
        Call(1, "pwrite64", "/d/f", b"b" * 1024, (1024, 0), 8, 9, 1024),
    ]
    disk = Disk()
    disk.replay(calls, 100)
    seen = {disk.cut(random.Random(seed))["/d/f"] for seed in range(50)}
    assert seen == {a * 512 + b * 512 for a in (b"a", b"b") for b in (b"a", b"b")}
    before = Disk()
    before.replay(calls, 7)  # the sync has not returned
    assert len({before.cut(random.Random(seed)).get("/d/f") for seed in range(50)}) > 2
