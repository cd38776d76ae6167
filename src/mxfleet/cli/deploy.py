"""`mxfleet deploy`: run pyinfra, speak our sentences; the raw pyinfra command stays supported."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer

from mxfleet.cli.drift import ROOT, included, unreachable
from mxfleet.cli.narration import Narration
from mxfleet.errors import DeployError
from mxfleet.fleet.model import Fleet, Node

app = typer.Typer(add_completion=False)


@app.command()
def deploy(
    fleet_file: Annotated[Path | None, typer.Option("--fleet", help="inventory; else MXFLEET_FLEET")] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="a node to leave out, e.g. one that is down")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the result as JSON")] = False,
) -> int:
    """Bring the fleet to what the inventory says: one node at a time, the holder of the service address last."""
    from mxfleet.fleet.load import choose, load_file

    path = choose(fleet_file, os.environ, ROOT)
    fleet = load_file(path)
    narration = run(fleet, path, exclude or (), quiet=as_json)
    if as_json:
        print(json.dumps(narration.as_values()))
    else:
        for sentence in narration.warnings:
            print(f"! {sentence}")
        if not narration.failed:
            print(narration.summary())
    if narration.failed and not as_json:
        raise narration.error()
    return 1 if narration.failed else 0


def run(
    fleet: Fleet,
    inventory: Path,
    exclude: Iterable[str] = (),
    *,
    quiet: bool = False,
) -> Narration:
    """One deploy, told line by line unless `quiet`; raises DeployError or StateMissing before anything is touched."""
    from mxfleet.keys.ledger import signing_for
    from mxfleet.keys.needs import warnings_of

    nodes = included(fleet, exclude)
    warnings = warnings_of(signing_for(fleet, ROOT))
    refuse_unreachable(fleet, nodes)
    narration = Narration(fleet.name, tuple(node.name for node in nodes), time.monotonic, warnings=warnings)
    command = [Path(sys.executable).with_name("pyinfra"), "-y", "--json", inventory.resolve(), "deploy.py"]
    for name in exclude:
        command += ["--exclude", name]
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with process:
        for line in process.stderr or ():
            for sentence in narration.hear(line):
                if not quiet:
                    print(sentence, flush=True)
    narration.end(process.returncode)
    return narration


def refuse_unreachable(fleet: Fleet, nodes: Iterable[Node]) -> None:
    """Raise DeployError with the first node whose ssh port does not answer: it is named before anything is changed."""
    nodes = tuple(nodes)
    with ThreadPoolExecutor() as pool:
        reasons = list(pool.map(lambda node: _knock(node, fleet.ssh.port), nodes))
    down = [(node, reason) for node, reason in zip(nodes, reasons, strict=True) if reason]
    if len(down) > 1:
        names = ", ".join(node.name for node, _ in down)
        without = "mxfleet deploy " + " ".join(f"--exclude {node.name}" for node, _ in down)
        raise DeployError(
            f"{names} cannot be reached: {down[0][1]}; nothing was changed",
            hint=without if len(down) < len(nodes) else "look at the network between you and them",
        )
    if down:
        raise unreachable(down[0][0], f"{down[0][1]}; nothing was changed", "deploy")


def _knock(node: Node, port: int) -> str:
    try:
        socket.create_connection((str(node.address4), port), timeout=3).close()
    except TimeoutError:
        return f"port {port} does not answer"
    except OSError as error:
        return f"port {port}: {error.strerror or error}"
    return ""
