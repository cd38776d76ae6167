"""The running lab with the words that an administrator would type; every test of this directory holds one."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mxfleet.fleet import Address, Fleet
from mxfleet.fleet.load import load_file
from mxfleet.lab import guests, state

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "inventories" / "lab.py"
SCRIPTS = Path(sys.executable).parent


class Lab:
    """A lab that is up and deployed; raises LabError where there is none."""

    def __init__(self) -> None:
        self.record = state.require()
        self.fleet: Fleet = load_file(INVENTORY)

    @property
    def service(self) -> tuple[Address, ...]:
        """The service addresses."""
        return self.fleet.service.addresses if self.fleet.service else ()

    def mxfleet(self, *words: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """`mxfleet …` in this checkout; the lab's fleet is named by MXFLEET_FLEET."""
        return self.command("mxfleet", *words, timeout=timeout)

    def command(self, program: str, *words: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """A program of the environment, in this checkout."""
        environment = os.environ | {"MXFLEET_FLEET": str(INVENTORY)}
        return subprocess.run(
            [str(SCRIPTS / program), *words],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def deploy(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`mxfleet deploy …`, which must succeed."""
        done = self.mxfleet("deploy", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def inside(self, guest: str, script: str, given: bytes = b"") -> str:
        """A shell script as root inside a guest, past ssh and firewall; it must succeed."""
        output: bytes = guests.run(guest, ["sh", "-c", script], input=given, check=True).stdout
        return output.decode()

    def facts(self) -> dict[str, Any]:
        """`mxfleet lab status --json`."""
        facts: dict[str, Any] = json.loads(self.mxfleet("lab", "status", "--json").stdout)
        return facts

    def holder(self) -> str:
        """The node that holds the service address; fails where there is not exactly one."""
        holders: list[str] = [name for name, guest in self.facts()["guests"].items() if guest["holds"]]
        assert len(holders) == 1, holders
        return holders[0]

    def roll_order(self) -> list[str]:
        """The nodes in the order of a rolling change: standbys first, the holder last."""
        holder = self.holder()
        standbys = [node.name for node in self.fleet.roll_order if node.name != holder]
        return [*standbys, holder]

    def running(self, node: str) -> str:
        """The digest of what the service on a node has loaded."""
        return self.inside(node, "cat /run/mxd/digest").strip()

    def until(self, what: str, true: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until something holds; fails with its name."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"not after {seconds} s: {what}"
            time.sleep(0.2)

    def healthy(self, *nodes: str) -> None:
        """Wait until the exchange answers on nodes (all, where none is named)."""
        for node in nodes or [node.name for node in self.fleet.nodes]:
            check = "/opt/mxfleet/current/venv/bin/mxd health --wait 30"
            assert guests.run(node, ["sh", "-c", check], timeout=40).returncode == 0, node

    @contextmanager
    def powered_off(self, node: str) -> Iterator[dict[str, Any]]:
        """A guest without power while the context lasts; what `lab power-off --json` said."""
        done = self.mxfleet("lab", "power-off", node, "--json")
        assert done.returncode == 0, done.stderr
        try:
            yield json.loads(done.stdout)
        finally:
            again = self.mxfleet("lab", "power-on", node)
            assert again.returncode == 0, again.stderr
            self.healthy(node)
