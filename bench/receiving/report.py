"""What was measured, as text, as Markdown for docs/measured/receive.md, as JSON, and as a plot."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.receiving.kills import Survival
from bench.receiving.machine import BenchError
from bench.receiving.memory import Memory
from bench.receiving.rows import Cell, Measured

# name, row, figure, what must hold, whether more is better
RATIOS: Final = (
    ("authenticated", "authenticated", "rate", 3.0, True),
    ("plain", "plain", "rate", 6.0, True),
    ("authenticated_50k", "authenticated_50k", "rate", 1.5, True),
    ("one_session", "one_session", "rate", 1.0, True),
    ("cpu_authenticated", "authenticated", "cpu", 0.4, False),
    ("starttls_cpu", "starttls", "cpu", 0.5, False),
)
MEMORY_500: Final = 100.0
RISE_50: Final = 10.0
FIGURES: Final[dict[str, Callable[[Cell], float]]] = {"rate": lambda c: c.rate, "cpu": lambda c: c.cpu}


@dataclass(frozen=True)
class Result:
    """Everything of one run."""

    machine: dict[str, str]
    rounds: int
    seconds: float
    rows: tuple[Measured, ...]
    memory: Memory
    survival: Survival

    def ratio(self, row: str, figure: str) -> float | None:
        """The median of the pairs' ratios, ours over Postfix's."""
        found = next((m for m in self.rows if m.row.name == row), None)
        return found.ratio(FIGURES[figure]) if found else None


def as_json(result: Result) -> dict[str, Any]:
    """The issue's keys first; None is what was not measured, and `not_measured` says why."""
    ratios = {name: result.ratio(row, figure) for name, row, figure, *_ in RATIOS}
    return {
        "ratios": {name: value and round(value, 3) for name, value in ratios.items()},
        "memory_500_mb": round(result.memory.sessions_500, 1),
        "lost_after_kill": result.survival.lost,
        "memory_rise_50_mb_message": round(result.memory.rise_50_mb, 1),
        "kills": result.survival.kills,
        "acknowledged_under_kills": result.survival.acknowledged,
        "rounds": result.rounds,
        "seconds": result.seconds,
        "not_measured": {m.row.name: m.missing for m in result.rows if m.missing},
        "rows": {m.row.name: [[asdict(cell) for cell in pair] for pair in m.pairs] for m in result.rows},
        "machine": result.machine,
    }


HEADINGS: Final = (
    "load",
    "server",
    "messages/s",
    "CPU µs each",
    "p50 ms",
    "p99 ms",
    "memory MB",
    "ratio",
    "CPU ratio",
)


def lines(result: Result) -> list[tuple[str, ...]]:
    """The cells of the table as text, two lines a row."""
    table: list[tuple[str, ...]] = []
    for measured in result.rows:
        if measured.missing:
            table.append((measured.row.told, measured.missing, "", "", "", "", "", "", ""))
            continue
        rate, cpu = measured.ratio(FIGURES["rate"]), measured.ratio(FIGURES["cpu"])
        table.append((measured.row.told, *_server(measured, True), f"{rate:.1f} ×", f"{cpu:.2f} ×"))
        table.append(("", *_server(measured, False), "", ""))
    return table


def _server(measured: Measured, ours: bool) -> tuple[str, ...]:
    name = measured.pairs[0][0 if ours else 1].server
    return (
        name,
        f"{measured.median(ours, lambda c: c.rate):.0f}",
        f"{measured.median(ours, lambda c: c.cpu) * 1e6:.0f}",
        f"{measured.median(ours, lambda c: c.p50_ms):.1f}",
        f"{measured.median(ours, lambda c: c.p99_ms):.1f}",
        f"{measured.median(ours, lambda c: c.memory):.0f}",
    )


def verdicts(result: Result) -> list[str]:
    """One sentence for each thing that must hold."""
    said = []
    for name, row, figure, bound, more in RATIOS:
        value = result.ratio(row, figure)
        sign = "≥" if more else "≤"
        if value is None:
            said.append(f"{name}: not measured; must be {sign} {bound}")
        else:
            holds = value >= bound if more else value <= bound
            said.append(f"{name}: {value:.2f}, must be {sign} {bound}: {'holds' if holds else 'FALLS SHORT'}")
    said.append(_bounded("memory at 500 sessions", result.memory.sessions_500, MEMORY_500))
    said.append(_bounded("rise by a message of 50 MB", result.memory.rise_50_mb, RISE_50))
    survival = result.survival
    said.append(
        f"{survival.kills} × kill -9 of all workers: {survival.lost} of {survival.acknowledged} acknowledged"
        f" messages lost, doubled or damaged: {'holds' if not survival.lost else 'FALLS SHORT'}"
    )
    return said


def _bounded(what: str, value: float, bound: float) -> str:
    return f"{what}: {value:.0f} MB, must be ≤ {bound:.0f}: {'holds' if value <= bound else 'FALLS SHORT'}"


def text(result: Result) -> str:
    """For a terminal."""
    table = [HEADINGS, *lines(result)]
    widths = [max(len(line[n]) for line in table if line[2] or n == 0) for n in range(len(HEADINGS))]
    out = [_aligned(line, widths) for line in table]
    return "\n".join([*out, "", *verdicts(result)])


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    if not line[2]:
        return f"{line[0]:<{widths[0]}}  {line[1]}"
    numbers = "  ".join(f"{word:>{width}}" for word, width in zip(line[2:], widths[2:], strict=True))
    return f"{line[0]:<{widths[0]}}  {line[1]:<{widths[1]}}  {numbers}".rstrip()


def plot(result: Result, path: Path) -> None:
    """Bars of messages a second, by gnuplot: a Debian package, as all else that this bench needs."""
    measured = [m for m in result.rows if m.pairs]
    data = "".join(
        f'"{m.row.name.replace("_", " ")}" {m.median(True, lambda c: c.rate):.1f}'
        f" {m.median(False, lambda c: c.rate):.1f}\n"
        for m in measured
    )
    script = f"""
set terminal pngcairo size 1100,520 font "sans,11"
set output "{path}"
set title "Messages accepted durably per second, medians of {result.rounds} rounds ({result.machine["cpu"]})"
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.9 border -1
set logscale y
set yrange [10:*]
set grid ytics
set ylabel "messages/s (logarithmic)"
set key top right
$data << EOD
{data}EOD
plot $data using 2:xtic(1) title "mxd" linecolor rgb "#1b6ca8", '' using 3 title "Postfix" linecolor rgb "#b8b8b8"
"""
    done = subprocess.run(["gnuplot"], input=script, text=True, capture_output=True, check=False)
    if done.returncode:
        raise BenchError(f"gnuplot: {done.stderr.strip()[-400:]}", hint="apt-get install gnuplot-nox")
