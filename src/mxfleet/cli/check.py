"""`mxfleet check`: format, lint, types and unit tests, in under a minute."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

app = typer.Typer(add_completion=False)

STEPS: dict[str, list[str]] = {
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "lint": ["ruff", "check", "--quiet", "--output-format=concise", "."],
    "types": ["mypy"],
    "tests": [
        "pytest",
        "-q",
        "--no-header",
        "-p",
        "no:cacheprovider",
        "-n",
        "auto",
        "tests/unit",
        "tests/deploy",
    ],
}


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one step; `said` are its words, where they were not shown at once."""

    passed: bool
    seconds: float
    said: str


@app.command()
def check(
    fix: bool = typer.Option(
        False, "--fix", help="rewrite what the formatter and linter can mend, then check"
    ),
    json_output: bool = typer.Option(False, "--json", help="each step's result as JSON"),
) -> int:
    """Format, lint, types and unit tests; run it before each commit."""
    scripts = Path(sys.executable).parent
    if fix:
        subprocess.run([scripts / "ruff", "format", "--quiet", "."], check=False)
        subprocess.run([scripts / "ruff", "check", "--quiet", "--fix", "."], check=False)

    def run(name: str) -> Result:
        program, *rest = STEPS[name]
        shown = name == "tests" and not json_output  # the longest shows its progress
        result = _run([str(scripts / program), *rest], shown=shown)
        if not json_output:
            print(_line(name, result), flush=True)
        return result

    with ThreadPoolExecutor(len(STEPS)) as pool:  # at the same time: the tests leave room on two cores
        results = dict(zip(STEPS, pool.map(run, STEPS), strict=True))
    failed = [name for name, result in results.items() if not result.passed]
    if json_output:
        print(json.dumps({name: asdict(result) for name, result in results.items()}, indent=2))
    if failed:
        print(f"check: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _run(command: list[str], *, shown: bool) -> Result:
    begun = time.monotonic()
    output = None if shown else subprocess.PIPE
    done = subprocess.run(command, check=False, stdout=output, stderr=subprocess.STDOUT, text=True)
    return Result(done.returncode == 0, round(time.monotonic() - begun, 1), done.stdout or "")


def _line(name: str, result: Result) -> str:
    said = "" if result.passed else result.said
    return f"{said}check: {name:<7}{'ok' if result.passed else 'FAILED'} {result.seconds:5.1f} s"
