"""The rows of the table: each a load, measured for both servers in pairs A B A B, each in an empty directory."""

import shutil
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.receiving.certificate import Certificate
from bench.receiving.exchange import Exchange, evidence_table
from bench.receiving.generator import Generator, Load, Sent
from bench.receiving.machine import Account, BenchError
from bench.receiving.postfix import Postfix
from bench.receiving.senders import Senders


@dataclass(frozen=True)
class Row:
    """One load; `authenticated` is what mxd does with each message, never what Postfix does."""

    name: str
    told: str
    size: str = "4k"
    sessions: int = 100
    per_connection: int = 0
    starttls: bool = False
    authenticated: bool = False


ROWS: Final = (
    Row("plain", "4 kB, 100 sessions"),
    Row("authenticated", "4 kB, 100 sessions; mxd with SPF, DKIM, DMARC", authenticated=True),
    Row(
        "authenticated_50k", "50 kB, 100 sessions; mxd with SPF, DKIM, DMARC", size="50k", authenticated=True
    ),
    Row("plain_50k", "50 kB, 100 sessions", size="50k"),
    Row("one_session", "4 kB, one session", sessions=1),
    Row("sessions_500", "4 kB, 500 sessions", sessions=500),
    Row("starttls", "4 kB, 100 sessions, a connection with STARTTLS each", per_connection=1, starttls=True),
)


@dataclass(frozen=True)
class Cell:
    """One server under one load, once; times in seconds, memory in MB at the end of the window."""

    server: str
    rate: float
    cpu: float
    p50_ms: float
    p99_ms: float
    memory: float
    generator_cpu: float
    generator_share: float


@dataclass
class Measured:
    """All rounds of a row; `missing` says why there are none."""

    row: Row
    pairs: list[tuple[Cell, Cell]] = field(default_factory=list)
    missing: str = ""

    def ratio(self, value: Callable[[Cell], float]) -> float | None:
        """Ours over Postfix's: the median of the pairs' ratios."""
        if not self.pairs:
            return None
        return statistics.median(value(ours) / value(theirs) for ours, theirs in self.pairs)

    def median(self, ours: bool, value: Callable[[Cell], float]) -> float:
        """Of one server over all rounds."""
        return statistics.median(value(pair[0 if ours else 1]) for pair in self.pairs)


@dataclass(frozen=True)
class Bench:
    """What all measurements need."""

    directory: Path
    senders: Senders
    generator: Generator
    certificate: Certificate
    resolver: str
    seconds: float
    warm: float

    def load(self, row: Row, seed: int) -> Load:
        """The load of a row."""
        return Load(
            corpus=self.senders.corpora[row.size],
            sessions=row.sessions,
            seconds=self.seconds,
            warm=self.warm,
            per_connection=row.per_connection,
            starttls=row.starttls,
            seed=seed,
        )

    def exchange(self, directory: Path, *, authenticated: bool) -> Exchange:
        """Our service in an empty directory."""
        extra = (evidence_table(self.resolver) or {}) if authenticated else {}
        return Exchange(directory, Account("mxd"), self.certificate, self.resolver, extra)

    def postfix(self, directory: Path) -> Postfix:
        """Postfix in an empty directory."""
        return Postfix(directory, Account("postfix"), self.certificate)


def measure(bench: Bench, row: Row, rounds: int, say: Callable[[str], None]) -> Measured:
    """The pairs of one row."""
    measured = Measured(row)
    if row.authenticated and evidence_table(bench.resolver) is None:
        measured.missing = "not measured: this mxd has no evidence settings yet"
        return measured
    for number in range(rounds):
        pair = (_cell(bench, row, number, ours=True), _cell(bench, row, number, ours=False))
        measured.pairs.append(pair)
        say(f"{row.name} {number + 1}/{rounds}: {pair[0].rate:.0f} to {pair[1].rate:.0f} messages/s")
    return measured


def _cell(bench: Bench, row: Row, number: int, *, ours: bool) -> Cell:
    directory = Path(tempfile.mkdtemp(prefix="life-", dir=bench.directory))
    directory.chmod(0o755)
    server = bench.exchange(directory, authenticated=row.authenticated) if ours else bench.postfix(directory)
    try:
        try:
            cell, total = _run(bench, row, number, server)
        except BenchError as error:
            raise BenchError(f"{row.name}, {server.name}: {error}") from error
        kept = server.kept()
        if kept != total:
            raise BenchError(f"{server.name} keeps {kept} messages of {total} that it accepted")
        if row.authenticated and isinstance(server, Exchange):
            _check_verdicts(server.heads(500))
    finally:
        server.end()
        shutil.rmtree(directory)
    return cell


def _run(bench: Bench, row: Row, number: int, server: Exchange | Postfix) -> tuple[Cell, int]:
    cpu: list[float] = []
    memory: list[float] = []
    account = server.account

    def ends() -> None:
        cpu.append(account.seconds())
        memory.append(account.memory())

    load = bench.load(row, number + 1)
    sent = bench.generator.run(load, server.port, lambda: cpu.append(account.seconds()), ends)
    return _figures(server.name, sent, cpu[1] - cpu[0], memory[0]), sent.total


def _figures(name: str, sent: Sent, cpu: float, memory: float) -> Cell:
    return Cell(
        server=name,
        rate=sent.rate,
        cpu=cpu / sent.accepted,
        p50_ms=sent.p50_ms,
        p99_ms=sent.p99_ms,
        memory=memory,
        generator_cpu=sent.cpu_seconds / sent.accepted,
        generator_share=sent.cpu_seconds / sent.seconds,
    )


def _check_verdicts(heads: list[bytes]) -> None:
    """A row is called authenticated only if the messages were: what we wrote into them says so."""
    for method in (b"spf=pass", b"dkim=pass", b"dmarc=pass"):
        found = sum(method in head for head in heads)
        if found < 0.99 * len(heads) or not heads:
            raise BenchError(
                f"{method.decode()} stands in {found} of {len(heads)} messages: they were not authenticated"
            )
