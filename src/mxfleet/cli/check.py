"""`mxfleet check`: format, lint, types and unit tests, in under a minute."""

import subprocess
import sys
import time
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
    failed = [
        name for name, (program, *rest) in STEPS.items() if not _step(name, [str(scripts / program), *rest])
    ]
    if failed:
        print(f"check: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _step(name: str, command: list[str]) -> bool:
    begun = time.monotonic()
    code = subprocess.run(command, check=False).returncode
    print(f"check: {name:<7}{'ok' if code == 0 else 'FAILED'} {time.monotonic() - begun:5.1f} s", flush=True)
    return code == 0
