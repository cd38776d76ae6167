"""`mxfleet test`: everything, from nothing, on real hosts; what it starts, it also stops."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import typer

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the whole: a command with the reason why it stands where it stands."""

    name: str
    command: tuple[str, ...]
    needs: str = ""  # the part whose failure makes this one pointless


PYTEST = ("pytest", "-q", "--no-header", "-p", "no:cacheprovider", "-o", "junit_family=xunit2")
PARTS = (
    Part("check", ("mxfleet", "check")),
    Part("lab up", ("mxfleet", "lab", "up", "--fleet", "inventories/lab.py")),
    Part("contract", (*PYTEST, "tests/contract"), needs="lab up"),
    Part("fleet", (*PYTEST, "tests/fleet", "--fleet", "inventories/lab.py"), needs="lab up"),
    Part("lab", (*PYTEST, "tests/lab"), needs="lab up"),
    Part("lab down", ("mxfleet", "lab", "down")),
    Part("nothing left", (*PYTEST, "tests/lab_after")),
)


@app.command(name="test")
def run_parts(
    only: str = typer.Option("", "--only", help=f"one part: {', '.join(part.name for part in PARTS)}"),
    json_output: bool = typer.Option(
        False, "--json", help="the result of each part as JSON, after their output"
    ),
) -> int:
    """Run every part in order; a part that cannot run is a failure. About 15 minutes, 20 on a new machine."""
    scripts = Path(sys.executable).parent
    results: dict[str, tuple[bool, float]] = {}
    for part in PARTS:
        if only and part.name != only:
            continue
        print(f"\n== {part.name}", flush=True)
        begun = time.monotonic()
        possible = not part.needs or results.get(part.needs, (True, 0.0))[0]
        if not possible:
            print(f"test: {part.name} cannot run: {part.needs} failed", file=sys.stderr)
        done = possible and _run(scripts, part)
        results[part.name] = (done, time.monotonic() - begun)
    return _report(results, json_output)


def _run(scripts: Path, part: Part) -> bool:
    program, *rest = part.command
    environment = {**os.environ, "PATH": f"{scripts}:{os.environ.get('PATH', '')}", "CI": "true"}
    return subprocess.run([str(scripts / program), *rest], check=False, env=environment).returncode == 0


def _report(results: dict[str, tuple[bool, float]], json_output: bool) -> int:
    failed = [name for name, (passed, _) in results.items() if not passed]
    if json_output:
        import json

        print(
            json.dumps(
                {name: {"passed": ok, "seconds": round(took, 1)} for name, (ok, took) in results.items()}
            )
        )
    else:
        print()
        for name, (passed, seconds) in results.items():
            print(f"  {name:<14}{'passed' if passed else 'FAILED'}{seconds:8.1f} s")
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0
