"""`python -m fuzz [--seconds 600] [TARGET …]`: every target for its share of the time, as many at once as there are cores.

Exit code 0: nothing was found. What is found is kept in .fuzz/found/TARGET; copy it to tests/data/fuzz/TARGET once it is
mended, so that it is played again with the unit tests.
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fuzz.growth import suspects
from fuzz.targets import SEEDS, TARGETS

HOME = Path(".fuzz")
HANG = 5
"""Seconds that one input may take."""
LONGEST = 8192
"""Octets of one input."""
MEMORY = 2048
"""MB that a target may use, the fuzzer's own included."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one target came to; `found` are the files of the inputs that broke it."""

    name: str
    seconds: float
    inputs: int
    slowest: int
    found: tuple[str, ...]


def main() -> int:
    """Growth first, since it is quick; then the fuzzer."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="real time for all targets together")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"some of: {' '.join(TARGETS)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {' '.join(TARGETS)}")
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is not installed; next: .venv/bin/uv pip install -e '.[fuzz]'")
    names = arguments.targets or list(TARGETS)
    growing = [one for name in names for one in suspects(name)]
    for one in growing:
        print(
            f"{one.target}: {one.seed} with {one.unit!r} repeated: {one.small:.3f} s, then {one.large:.3f} s"
        )
    print(f"growth: {len(growing)} of {len(names)} targets' inputs take longer than their size", flush=True)
    jobs = min(os.cpu_count() or 1, len(names))
    share = max(5, arguments.seconds * jobs // len(names))
    with ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(lambda name: run(name, share), names))
    print(
        f"{sum(result.inputs for result in results):,} inputs, {sum(bool(r.found) for r in results)} targets broken"
    )
    return 1 if growing or any(result.found for result in results) else 0


def run(name: str, seconds: int) -> Result:
    """One target in a process of its own."""
    corpus, found = HOME / "corpus" / name, HOME / "found" / name
    for directory in (corpus, found):
        directory.mkdir(parents=True, exist_ok=True)
    before, begun = set(found.iterdir()), time.monotonic()
    done = subprocess.run(
        [
            sys.executable, "-m", "fuzz.one", name, f"-max_total_time={seconds}", f"-timeout={HANG}",
            f"-max_len={LONGEST}", f"-rss_limit_mb={MEMORY}", f"-artifact_prefix={found}/", "-print_final_stats=1",
            str(corpus), str(SEEDS / name),
        ],
        capture_output=True, check=False,
    )  # fmt: skip
    said = done.stderr.decode(errors="replace")
    new = tuple(sorted(str(path) for path in set(found.iterdir()) - before))
    if done.returncode != 0 and not new:
        new = (f"exit code {done.returncode}: {said[-300:]}",)
    result = Result(name, time.monotonic() - begun, _number(said, "number_of_executed_units"),
                    _number(said, "slowest_unit_time_sec"), new)  # fmt: skip
    print(
        f"{name:<15}{result.seconds:6.0f} s {result.inputs:>9,} inputs  slowest {result.slowest} s"
        f"  {'found ' + ' '.join(new) if new else 'nothing found'}",
        flush=True,
    )
    return result


def _number(said: str, name: str) -> int:
    match = re.search(rf"stat::{name}:\s*(\d+)", said)
    return int(match[1]) if match else 0


if __name__ == "__main__":
    sys.exit(main())
