"""Two deploys at once: the nodes themselves let one in; what a deploy that died held is free at once."""

import getpass
import os
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mxfleet.lab import guests
from tests.lab.running import INVENTORY, ROOT, SCRIPTS, Lab

LOCK = "/run/mxfleet/deploy.lock"
CHANGE = "policy=replace(_LAB.policy, recipients={})"


def locked(node: str) -> bool:
    return guests.run(node, ["flock", "-n", LOCK, "true"]).returncode != 0


def started(inventory: Path) -> subprocess.Popen[bytes]:
    """A deploy that goes on in the background, by pyinfra itself."""
    return subprocess.Popen(
        [str(SCRIPTS / "pyinfra"), "-y", str(inventory), "deploy.py"],
        cwd=ROOT, env=os.environ | {"MXFLEET_FLEET": str(INVENTORY)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_second_deploy_is_told_who_deploys_since_when_and_what_to_do(
    lab: Lab, variant: Callable[[str], Path]
) -> None:
    last = max(node.name for node in lab.fleet.nodes)
    with started(variant(CHANGE.format(98))) as first:
        try:
            lab.until("the first holds every lock", lambda: locked(last))
            with ThreadPoolExecutor() as pool:
                ours = pool.submit(lab.mxfleet, "deploy")
                raw = pool.submit(lab.command, "pyinfra", "-y", "inventories/lab.py", "deploy.py").result()
                second = ours.result()
        finally:
            code = first.wait(120)
            lab.deploy()
    assert code == 0
    assert (second.returncode, raw.returncode) == (1, 1)
    who = f"{getpass.getuser()}@{socket.gethostname()} since 20"
    (line,) = [line for line in second.stderr.splitlines() if "is deploying" in line]
    assert who in line
    assert "nothing was changed — wait until that run has ended" in line
    assert who in raw.stdout + raw.stderr


def test_a_deploy_that_is_killed_half_way_keeps_nobody_out(lab: Lab, variant: Callable[[str], Path]) -> None:
    node = lab.roll_order()[0]
    inventory = variant(CHANGE.format(97))
    before = lab.running(node)
    with started(inventory) as first:
        lab.until(
            "files are on their way", lambda: bool(lab.inside(node, "ls /run/mxfleet | grep ^stage- || true"))
        )
        first.kill()
    try:
        lab.deploy("--fleet", str(inventory))
        assert lab.running(node) != before
    finally:
        lab.deploy()
    assert not any(locked(node.name) for node in lab.fleet.nodes)
