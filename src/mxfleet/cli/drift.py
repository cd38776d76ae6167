"""`mxfleet drift`: ask every node, compare with the inventory, say what a deploy would change."""

import json
import os
import subprocess
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer

from mxfleet.errors import DeployError
from mxfleet.fleet.model import Fleet, Node
from mxfleet.render.desired import Desired
from mxfleet.render.differences import Difference
from mxfleet.render.observation import Observation

app = typer.Typer(add_completion=False)

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 60


@app.command()
def drift(
    fleet_file: Annotated[Path | None, typer.Option("--fleet", help="inventory; else MXFLEET_FLEET")] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="a node to leave out, e.g. one that is down")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the differences as JSON")] = False,
) -> int:
    """Say where nodes are not what the inventory says; exits 2 where one is not, 0 where all are."""
    from mxfleet.fleet.load import load

    begun = time.monotonic()
    fleet = load(fleet_file, os.environ, ROOT)
    nodes = included(fleet, exclude or ())
    found = compare(fleet, nodes)
    if as_json:
        print(json.dumps({"fleet": fleet.name, "drift": as_values(found)}))
    else:
        for name, differences in found.items():
            for difference in differences:
                print(f"{name}: {difference}")
        print(summary(found, time.monotonic() - begun))
    return 2 if any(found.values()) else 0


def included(fleet: Fleet, exclude: Iterable[str]) -> tuple[Node, ...]:
    """The nodes to look at; raises FleetError for a name that the fleet does not have."""
    left_out = {fleet.node(name).name for name in exclude}
    nodes = tuple(node for node in fleet.nodes if node.name not in left_out)
    if not nodes:
        raise DeployError("no node is left", hint="exclude fewer")
    return nodes


def compare(fleet: Fleet, nodes: Iterable[Node]) -> dict[str, tuple[Difference, ...]]:
    """Every difference of every node; raises DeployError with the first node that does not answer."""
    from mxfleet.render.differences import differences

    targets = desired(fleet, nodes)
    with ThreadPoolExecutor() as pool:
        seen = pool.map(lambda target: observe(fleet, target), targets)
        return {
            target.node.name: differences(target, seen_) for target, seen_ in zip(targets, seen, strict=True)
        }


def desired(fleet: Fleet, nodes: Iterable[Node], root: Path = ROOT) -> list[Desired]:
    """What the nodes shall be like; opens the vault. Raises StateMissing where ledger or vault lack something."""
    from mxfleet.keys.ledger import signing_for
    from mxfleet.keys.secrets import resolve
    from mxfleet.keys.vault import Vault
    from mxfleet.render.desired import desire
    from mxfleet.render.inputs import gather
    from mxfleet.render.release import version_of

    signing, vault = signing_for(fleet, root), Vault.of(fleet, root)
    inputs = gather(fleet, version_of(root), root)
    return [
        desire(fleet, node, signing, inputs, lambda reference: resolve(reference, vault, os.environ, root))
        for node in nodes
    ]


def observe(fleet: Fleet, target: Desired) -> Observation:
    """What one node is like now, over the operator's own ssh."""
    from mxfleet.render.observation import parse, script
    from mxfleet.render.session import ssh

    node = target.node
    try:
        result = subprocess.run(
            [*ssh(fleet, node), "sudo -n sh -s"],
            input=script(target.questions), capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise unreachable(node, f"no answer in {PATIENCE} s", "drift") from None
    if result.returncode != 0:
        raise unreachable(node, (result.stderr.strip().splitlines() or ["no reason given"])[-1], "drift")
    return parse(result.stdout.splitlines())


def unreachable(node: Node, reason: str, verb: str) -> DeployError:
    """The one sentence for a node that is down, with the way on."""
    return DeployError(
        f"{node.name} ({node.address4}) cannot be reached: {reason}",
        hint=f"mend it, or go on without it: mxfleet {verb} --exclude {node.name}",
    )


def summary(found: dict[str, tuple[Difference, ...]], seconds: float) -> str:
    """The last line."""
    count = sum(len(differences) for differences in found.values())
    if not count:
        return f"drift: none on {', '.join(found)} ({seconds:.1f} s)"
    places = ", ".join(name for name, differences in found.items() if differences)
    return f"drift: {count} on {places} ({seconds:.1f} s) — next: mxfleet deploy"


def as_values(found: dict[str, tuple[Difference, ...]]) -> list[dict[str, str]]:
    """For --json: the same words as the text."""
    return [
        {"node": name, "kind": item.thing, "name": item.subject, "how": item.how}
        for name, differences in found.items()
        for item in differences
    ]
