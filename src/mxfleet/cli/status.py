"""`mxfleet status`: what runs where, who holds the service address, what waits in which queue."""

import json
import os
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mxfleet.doctor.standing import Ask, Queue, Standing
from mxfleet.fleet import Fleet, Node

ROOT = Path(__file__).resolve().parents[3]
app = typer.Typer(add_completion=False)

CONNECT_SECONDS, SECONDS = 2, 15
"""How long a node may take to answer."""
WAITS = (
    "mail that it has accepted waits on it until it is back; "
    "each node keeps its own queue until the cluster exists"
)


@app.command()
def status(
    fleet_file: Annotated[Path | None, typer.Option("--fleet", help="inventory; else MXFLEET_FLEET")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="the nodes' standings as JSON")] = False,
) -> int:
    """Each node's services, release and queue, and who holds the service address; exit 1 where all is not well."""
    from mxfleet.doctor import standing
    from mxfleet.fleet.load import load

    fleet = load(fleet_file, os.environ, ROOT)
    found = standing.standings(fleet, ask_by_ssh(fleet))
    troubles = trouble(fleet, found)
    if json_output:
        nodes = [asdict(one) | {"reachable": one.reachable} for one in found]
        print(json.dumps({"fleet": fleet.name, "nodes": nodes, "trouble": troubles}, indent=2))
    else:
        print("\n".join(told(fleet, found)))
    return 1 if troubles else 0


def ask_by_ssh(fleet: Fleet, seconds: float = SECONDS) -> Ask:
    """Runs a script on a node by ssh and sudo; a node that is slower than `seconds` counts as unreachable."""
    from mxfleet.doctor.outside import is_open
    from mxfleet.render.session import ssh

    def ask(node: Node, script: str) -> tuple[str, str]:
        if not is_open(
            str(node.address4), fleet.ssh.port, CONNECT_SECONDS
        ):  # a kept connection would hang on
            return "", f"port {fleet.ssh.port} does not answer"
        command = [*ssh(fleet, node), "sudo -n sh -s"]
        try:
            done = subprocess.run(
                command, input=script, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return "", f"no answer within {seconds:.0f} s"
        if done.returncode != 0:
            words = done.stderr.strip().splitlines() or [f"ssh ended with {done.returncode}"]
            return "", words[-1].removeprefix("ssh: ")
        return done.stdout, ""

    return ask


def told(fleet: Fleet, found: tuple[Standing, ...]) -> list[str]:
    """The fleet in a few lines."""
    wide = max(len(one.node) for one in found)
    lines = []
    for one in found:
        lines.append(f"{one.node:<{wide}}  {_state(one)}")
        replies = one.queue.replies if one.queue else {}
        lines += [f"{'':<{wide}}    to {domain}: {reply}" for domain, reply in replies.items()]
    if fleet.service:
        addresses = " ".join(str(address) for address in fleet.service.addresses)
        lines.append(
            f"{fleet.service.hostname} {addresses}: {_holders(found) or 'held by no reachable node'}"
        )
    return [*lines, *(f"! {sentence}" for sentence in trouble(fleet, found))]


def trouble(fleet: Fleet, found: tuple[Standing, ...]) -> list[str]:
    """What is not as it should be, a sentence each; empty where all is well."""
    sentences = [sentence for one in found for sentence in _trouble_of(one)]
    for address in fleet.service.addresses if fleet.service else ():
        holders = [one.node for one in found if str(address) in one.holds]
        if len(holders) > 1:
            sentences.append(f"{address} is held by {' and '.join(holders)} at once")
        if not holders:
            sentences.append(
                f"{address} is held by no reachable node: mail comes in by the other MX hosts only"
            )
    return sentences


def _trouble_of(one: Standing) -> list[str]:
    if not one.reachable:
        return [f"{one.node} is unreachable ({one.problem}): {WAITS}"]
    sentences = [f"{one.node}: {unit} is {one.services[unit]}" for unit in one.stopped]
    if one.queue is None:
        sentences.append(f"{one.node}: its queue could not be read")
    return sentences


def _state(one: Standing) -> str:
    if not one.reachable:
        return "unreachable"
    running = len(one.services) - len(one.stopped)
    holds = "  holds the service address" if one.holds else ""
    release = one.release or "none"
    return f"{running}/{len(one.services)} services  release {release}  queue {_queue(one.queue)}{holds}"


def _queue(queue: Queue | None) -> str:
    if queue is None:
        return "unknown"
    if not queue.waiting:
        return "empty"
    deferred = f", {queue.deferred} deferred" if queue.deferred else ""
    return f"{queue.waiting} waiting{deferred}, oldest {_duration(queue.oldest)}"


def _duration(seconds: int) -> str:
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"


def _holders(found: tuple[Standing, ...]) -> str:
    holders = [one.node for one in found if one.holds]
    return f"held by {' and '.join(holders)}" if holders else ""
