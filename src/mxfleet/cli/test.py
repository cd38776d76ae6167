"""`mxfleet test`: everything, from nothing, on real hosts; what it starts, it also stops."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the whole: a command with the reason why it stands where it stands."""

    name: str
    command: tuple[str, ...]
    needs: str = ""  # the part whose failure makes this one pointless


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a part: `passed`, `FAILED` or `cannot run`, and how long it took."""

    word: str
    seconds: float


WATCHED = {"strace": "strace", "restic": "restic"}
"""Programs that the tests need beyond the lab's → their Debian packages: commits are watched, backups restored."""

PYTEST = ("pytest", "-q", "--no-header", "-p", "no:cacheprovider", "-o", "junit_family=xunit2")
PARTS = (
    Part("check", ("mxfleet", "check")),
    Part("lab up", ("mxfleet", "lab", "up", "--fleet", "inventories/lab.py")),
    Part("contract", (*PYTEST, "-n", "auto", "--dist", "loadfile", "tests/contract"), needs="lab up"),
    Part("fleet", (*PYTEST, "tests/fleet", "--fleet", "inventories/lab.py"), needs="lab up"),
    Part("lab", (*PYTEST, "tests/lab"), needs="lab up"),
    Part("lab down", ("mxfleet", "lab", "down")),
    Part("single up", ("mxfleet", "lab", "up", "--fleet", "inventories/single.py")),
    Part("single", (*PYTEST, "tests/fleet", "--fleet", "inventories/single.py"), needs="single up"),
    Part("single down", ("mxfleet", "lab", "down")),
    Part("nothing left", (*PYTEST, "tests/lab_after")),
)


@app.command(name="test")
def run_parts(
    only: Annotated[str, typer.Option(help=f"one part: {', '.join(part.name for part in PARTS)}")] = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="install missing Debian packages without asking")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="a part that cannot run is said, and is no failure")
    ] = False,
    json_output: Annotated[
        bool, typer.Option("--json", help="the result of each part as JSON, after their output")
    ] = False,
) -> int:
    """Run every part in order, on hosts that it boots and ends itself: about 25 minutes on two cores."""
    from mxfleet.cli.lab import agreed
    from mxfleet.lab import packages

    packages.ensure(lambda wanted: agreed(wanted, yes), packages.PROGRAMS | WATCHED)
    results: dict[str, Result] = {}
    for part in PARTS:
        if only and part.name != only:
            continue
        print(f"\n== {part.name}", flush=True)
        begun = time.monotonic()
        word = _run(part, yes=yes) if _possible(part, results) else "cannot run"
        results[part.name] = Result(word, time.monotonic() - begun)
    return _report(results, json_output=json_output, allow_missing=allow_missing)


def _possible(part: Part, results: dict[str, Result]) -> bool:
    return not part.needs or part.needs not in results or results[part.needs].word == "passed"


def _run(part: Part, *, yes: bool) -> str:
    scripts = Path(sys.executable).parent
    program, *rest = part.command
    environment = {**os.environ, "PATH": f"{scripts}:{os.environ.get('PATH', '')}"}
    agreed = ["--yes"] if yes and part.name == "lab up" else []
    code = subprocess.run([str(scripts / program), *rest, *agreed], check=False, env=environment).returncode
    return "passed" if code == 0 else "FAILED"


def _report(results: dict[str, Result], *, json_output: bool, allow_missing: bool) -> int:
    if json_output:
        print(
            json.dumps(
                {name: {"result": r.word, "seconds": round(r.seconds, 1)} for name, r in results.items()}
            )
        )
    else:
        print()
        for name, result in results.items():
            print(f"  {name:<14}{result.word:<12}{result.seconds:8.1f} s")
    wrong = {"FAILED"} if allow_missing else {"FAILED", "cannot run"}
    failed = [name for name, result in results.items() if result.word in wrong]
    print(f"{sum(r.word == 'passed' for r in results.values())} passed, {len(failed)} failed")
    return 1 if failed else 0
