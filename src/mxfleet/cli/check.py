"""`mxfleet check`: format, lint, types and unit tests, in under a minute."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
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


@app.command()
def check(
    fix: bool = typer.Option(
        False, "--fix", help="rewrite what the formatter and linter can mend, then check"
    ),
) -> int:
    """Format, lint, types and unit tests; run it before each commit."""
    scripts = Path(sys.executable).parent
    if fix:
        subprocess.run([scripts / "ruff", "format", "--quiet", "."], check=False)
        subprocess.run([scripts / "ruff", "check", "--quiet", "--fix", "."], check=False)
    commands = {name: [str(scripts / program), *rest] for name, (program, *rest) in STEPS.items()}
    with ThreadPoolExecutor(len(commands)) as pool:  # at the same time: the tests leave room on two cores
        passed = dict(zip(commands, pool.map(_step, commands.keys(), commands.values()), strict=True))
    failed = [name for name in STEPS if not passed[name]]
    if failed:
        print(f"check: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _step(name: str, command: list[str]) -> bool:
    begun = time.monotonic()
    shown = (
        None if name == "tests" else subprocess.PIPE
    )  # the longest shows its progress, the others what they found
    done = subprocess.run(command, check=False, stdout=shown, stderr=subprocess.STDOUT, text=True)
    seconds = time.monotonic() - begun
    said = done.stdout if done.returncode and done.stdout else ""
    print(f"{said}check: {name:<7}{'FAILED' if done.returncode else 'ok'} {seconds:5.1f} s", flush=True)
    return done.returncode == 0
