"""Whole deploys with pyinfra itself, on nodes that do not exist: half a second each."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = "tests/deploy/fake_fleet.py"


@dataclass(frozen=True)
class Run:
    """How a run ended, what it said, and what each node was sent, in order (questions left out)."""

    code: int
    output: str
    sent: list[tuple[str, str]]
    asked: list[str]
    locked: list[str]

    def nodes_sent(self, part: str) -> list[str]:
        """The nodes that were sent a command with this part, in order, each once."""
        return list(dict.fromkeys(node for node, command in self.sent if part in command))

    def first(self, node: str, part: str) -> int:
        """Where in the whole order the node was first sent it."""
        return next(n for n, (who, command) in enumerate(self.sent) if who == node and part in command)

    def last(self, node: str, part: str) -> int:
        """Where in the whole order the node was last sent it."""
        return max(n for n, (who, command) in enumerate(self.sent) if who == node and part in command)


@pytest.fixture(scope="session")
def pyinfra() -> Iterator[subprocess.Popen[str]]:
    """One process that has imported pyinfra and forks for each run."""
    with subprocess.Popen(
        [sys.executable, "tests/deploy/forking.py"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        yield process
        if process.stdin:
            process.stdin.close()


@pytest.fixture
def deploy(pyinfra: subprocess.Popen[str], tmp_path: Path) -> Callable[..., Run]:
    """`deploy("-y", serving=[…], …)` runs the real deploy.py on the scripted fleet."""

    def run(*words: str, **script: Any) -> Run:
        log, output = tmp_path / "sent", tmp_path / "output"
        log.write_text("")
        order = {
            "words": [*words, INVENTORY, "deploy.py"],
            "script": json.dumps({"log": str(log), **script}),
            "output": str(output),
        }
        print(json.dumps(order), file=pyinfra.stdin, flush=True)
        code = int(pyinfra.stdout.readline()) if pyinfra.stdout else 1
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        return Run(
            code,
            output.read_text(),
            [(node, command) for node, command, _ in lines if command not in ("ASK", "LOCK")],
            [node for node, command, _ in lines if command == "ASK"],
            [node for node, command, _ in lines if command == "LOCK"],
        )

    return run
