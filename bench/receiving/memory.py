"""How much memory 500 sessions take, and how much more one message of 50 MB."""

import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.receiving.exchange import Exchange
from bench.receiving.generator import Load
from bench.receiving.machine import Account
from bench.receiving.rows import Bench

SESSIONS: Final = 500


@dataclass(frozen=True)
class Memory:
    """Proportional set size of all processes, in MB: the most under load, and the rise by the large message."""

    sessions_500: float
    rise_50_mb: float


def measure(bench: Bench) -> Memory:
    """500 sessions under load; then, while they stay, one message of 50 MB."""
    directory = Path(tempfile.mkdtemp(prefix="memory-", dir=bench.directory))
    exchange = bench.exchange(directory, authenticated=True)
    try:
        return _measure(bench, exchange)
    finally:
        exchange.end()
        shutil.rmtree(directory)


def _measure(bench: Bench, exchange: Exchange) -> Memory:
    many = Load(bench.senders.corpora["4k"], sessions=SESSIONS, seconds=bench.seconds, warm=bench.warm)
    with bench.generator.started(many, exchange.port) as running:
        running.expect("warm")
        with Sampler(exchange.account, 0.2) as under_load:
            running.expect("end")
        time.sleep(1.0)
        before = exchange.account.memory()
        with Sampler(exchange.account, 0.02) as large:
            one = Load(bench.senders.corpora["huge"], sessions=1, seconds=60, warm=0, messages=1)
            bench.generator.run(one, exchange.port, lambda: None, lambda: None)
        running.finish()
    return Memory(under_load.most, max(0.0, large.most - before))


class Sampler:
    """Looks again and again, in a thread; `most` is what it saw."""

    def __init__(self, account: Account, every: float) -> None:
        """`every` is in seconds."""
        self._account, self._every = account, every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.most = 0.0

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.is_set():
            self.most = max(self.most, self._account.memory())
            self._ended.wait(self._every)
