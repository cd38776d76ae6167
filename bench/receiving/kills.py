"""`kill -9` of every worker under load, again and again: is each acknowledged message there, once and whole?"""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.receiving.exchange import Exchange
from bench.receiving.generator import Load
from bench.receiving.machine import BenchError
from bench.receiving.rows import Bench
from mxfleet.mxd.spool.schema import CHUNKS

_NUMBER: Final = re.compile(rb"X-Bench: (\d+)\r\n")


@dataclass(frozen=True)
class Survival:
    """What was found after the kills; `lost` counts what is not there exactly once and whole."""

    kills: int
    acknowledged: int
    lost: int


def measure(bench: Bench, kills: int, say: Callable[[str], None]) -> Survival:
    """So many rounds of killing, then the count."""
    directory = Path(tempfile.mkdtemp(prefix="kills-", dir=bench.directory))
    exchange = bench.exchange(directory, authenticated=True)
    acked = directory / "acked"
    load = Load(bench.senders.corpora["4k"], sessions=50, seconds=600, warm=0, retry=True, acked=acked)
    try:
        with bench.generator.started(load, exchange.port) as running:
            running.expect("warm")
            for number in range(kills):
                _kill(exchange, number)
            say(f"killed {kills} times")
            running.stop()
        exchange.end()
        return _count(bench, exchange, acked, kills)
    finally:
        exchange.end()
        shutil.rmtree(directory)


def _kill(exchange: Exchange, number: int) -> None:
    """Let them work, at a different point each time, then end all of them at once without a word."""
    before = exchange.kept()
    until = time.monotonic() + 20
    while exchange.kept() < before + 100:
        if time.monotonic() > until:
            raise BenchError(f"kill {number}: mxd accepts nothing any more")
        time.sleep(0.05)
    time.sleep(0.037 * (number % 7))
    for pid in exchange.children():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _count(bench: Bench, exchange: Exchange, acked: Path, kills: int) -> Survival:
    acknowledged = [line.split() for line in acked.read_text().splitlines()]
    promised = {int(number): int(index) for number, index in acknowledged}
    sent = _digests(bench.senders.corpora["4k"])
    found: Counter[int] = Counter()
    whole: set[int] = set()
    with contextlib.closing(sqlite3.connect(exchange.spool)) as connection:
        query = "SELECT data FROM chunk JOIN message ON chunk.id = message.id * ? WHERE begun IS NULL"
        for (data,) in connection.execute(query, (CHUNKS,)):
            if (match := _NUMBER.match(data)) is None:
                raise BenchError("a message in the spool is none of ours")
            number = int(match[1])
            found[number] += 1
            if number in promised and hashlib.sha256(data[match.end() :]).digest() == sent[promised[number]]:
                whole.add(number)
    lost = sum(found[number] != 1 or number not in whole for number in promised)
    return Survival(kills, len(promised), lost)


def _digests(corpus: Path) -> list[bytes]:
    """Of each message as a server must keep it."""
    octets, at, digests = corpus.read_bytes(), 0, []
    while at < len(octets):
        feed = octets.index(b"\n", at)
        length = int(octets[at:feed].rpartition(b" ")[2])
        message = octets[feed + 1 : feed + 1 + length].removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
        digests.append(hashlib.sha256(message).digest())
        at = feed + 1 + length
    return digests
