"""The same question to all nodes at once, by ssh."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mxfleet.errors import FleetError
from mxfleet.fleet import Fleet, Node

MXD = "/opt/mxfleet/current/venv/bin/mxd"


@dataclass(frozen=True)
class Answer:
    """What one node said; `problem` is why it said nothing."""

    node: str
    text: str
    problem: str = ""


def chosen(fleet: Fleet, only: str) -> list[Node]:
    """All nodes, or the one that was named."""
    nodes = [node for node in fleet.nodes if only in ("", node.name)]
    if not nodes:
        names = " ".join(node.name for node in fleet.nodes)
        raise FleetError(f"{fleet.name} has no node {only!r}", hint=f"one of {names}")
    return nodes


def ask_all(fleet: Fleet, nodes: Sequence[Node], script: str, seconds: float = 15) -> list[Answer]:
    """Run a shell script as root on each, side by side; the answers in the order of the nodes."""
    from mxfleet.cli.status import ask_by_ssh

    ask = ask_by_ssh(fleet, seconds)
    with ThreadPoolExecutor(len(nodes)) as pool:
        said = list(pool.map(lambda node: ask(node, script), nodes))
    return [Answer(node.name, text, problem) for node, (text, problem) in zip(nodes, said, strict=True)]
