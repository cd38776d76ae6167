"""`mxfleet queue`: what waits on all nodes, and what is to become of it."""

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mxfleet.cli.nodes import MXD, Answer, ask_all, chosen

ROOT = Path(__file__).resolve().parents[3]
app = typer.Typer(add_completion=False, help="What waits on all nodes, and what is to become of it.")

FleetFile = Annotated[Path | None, typer.Option("--fleet", help="inventory; else MXFLEET_FLEET")]
OnlyNode = Annotated[str, typer.Option("--node", help="only this node")]
Domain = Annotated[str, typer.Option(help="of this recipient domain")]
Trace = Annotated[str, typer.Option(help="of this message")]
Sender = Annotated[str, typer.Option(help="from this reverse-path")]
Recipient = Annotated[str, typer.Option(help="to this recipient")]
Everything = Annotated[bool, typer.Option("--all", help="the whole queue")]
AsJson = Annotated[bool, typer.Option("--json")]


@app.command("list")
def show_list(
    fleet: FleetFile = None,
    node: OnlyNode = "",
    domain: Domain = "",
    trace: Trace = "",
    sender: Sender = "",
    recipient: Recipient = "",
    limit: Annotated[int, typer.Option(help="of each node")] = 1000,
    as_json: AsJson = False,
) -> int:
    """Waiting deliveries, the next due of each node first."""
    words = ["list", f"--limit={limit}", *_selection(domain, trace, sender, recipient)]
    return _show_items(_ask(fleet, node, words), as_json)


@app.command("show")
def show_one(trace: str, fleet: FleetFile = None, node: OnlyNode = "", as_json: AsJson = False) -> int:
    """What still waits of one message, wherever it is; mxfleet trace tells what has been."""
    return _show_items(_ask(fleet, node, ["list", f"--trace={trace}"]), as_json)


@app.command("summary")
def show_summary(fleet: FleetFile = None, node: OnlyNode = "", as_json: AsJson = False) -> int:
    """Counts by domain and reason, oldest, next attempt."""
    import msgspec

    from mxfleet.mxd.queue_command import summary_text
    from mxfleet.mxd.spool.values import QueueSummary

    answers = _ask(fleet, node, ["summary"])
    if as_json:
        return _json(answers)
    for answer in answers:
        if not answer.problem:
            summary = msgspec.json.decode(answer.text, type=QueueSummary)
            print(f"{answer.node}: {summary_text(summary, time.time())}", end="")
    return _problems(answers)


CHANGES = {
    "retry": "Have deliveries tried now.",
    "hold": "Keep deliveries from being tried until they are released.",
    "release": "Have held deliveries tried again, at once.",
    "delete": "Forget deliveries; nobody is told. To tell their senders: mxfleet queue expire.",
    "expire": "One last try now; what it does not deliver fails, and its sender is told.",
}
"""What is done to deliveries that are chosen in the same way → what it means."""


def _verb(name: str) -> Callable[..., int]:
    def change(
        fleet: FleetFile = None,
        node: OnlyNode = "",
        domain: Domain = "",
        trace: Trace = "",
        sender: Sender = "",
        recipient: Recipient = "",
        everything: Everything = False,
        as_json: AsJson = False,
    ) -> int:
        return _change(name, fleet, node, _selection(domain, trace, sender, recipient), everything, as_json)

    return change


for _name, _meaning in CHANGES.items():
    app.command(_name, help=_meaning)(_verb(_name))


@app.command("reroute")
def reroute(
    to: Annotated[str, typer.Option(help="host:port; '' for the domain's own route again")],
    fleet: FleetFile = None,
    node: OnlyNode = "",
    domain: Domain = "",
    trace: Trace = "",
    sender: Sender = "",
    recipient: Recipient = "",
    everything: Everything = False,
    as_json: AsJson = False,
) -> int:
    """Send deliveries to another host, at once."""
    words = [f"--to={to}", *_selection(domain, trace, sender, recipient)]
    return _change("reroute", fleet, node, words, everything, as_json)


def _selection(domain: str, trace: str, sender: str, recipient: str) -> list[str]:
    given = {"domain": domain, "trace": trace, "sender": sender, "recipient": recipient}
    return [f"--{name}={value}" for name, value in given.items() if value]


def _change(
    verb: str, fleet: Path | None, node: str, words: list[str], everything: bool, as_json: bool
) -> int:
    answers = _ask(fleet, node, [verb, *words, *(["--all"] if everything else [])])
    if as_json:
        return _json(answers)
    from mxfleet.mxd.queue_command import DONE

    for answer in answers:
        if not answer.problem:
            said = json.loads(answer.text)
            busy = f"; {said['busy']} being tried at this moment" if said["busy"] else ""
            print(f"{answer.node}: {said['changed']} {DONE[verb]}{busy}")
    return _problems(answers)


def _ask(fleet_file: Path | None, node: str, words: Sequence[str]) -> list[Answer]:
    from mxfleet.fleet.load import load

    fleet = load(fleet_file, os.environ, ROOT)
    return ask_all(fleet, chosen(fleet, node), f"{MXD} queue {shlex.join(words)} --json\n")


def _show_items(answers: list[Answer], as_json: bool) -> int:
    import msgspec

    from mxfleet.mxd.queue_command import item_line
    from mxfleet.mxd.spool.values import QueueItem

    if as_json:
        return _json(answers)
    for answer in answers:
        if not answer.problem:
            for item in msgspec.json.decode(answer.text, type=list[QueueItem]):
                print(f"{answer.node}  {item_line(item)}")
    return _problems(answers)


def _json(answers: list[Answer]) -> int:
    found: dict[str, Any] = {
        a.node: {"error": a.problem} if a.problem else json.loads(a.text) for a in answers
    }
    print(json.dumps({"nodes": found}))
    return 1 if any(answer.problem for answer in answers) else 0


def _problems(answers: list[Answer]) -> int:
    for answer in answers:
        if answer.problem:
            print(f"mxfleet: {answer.node}: {answer.problem}", file=sys.stderr)
    return 1 if any(answer.problem for answer in answers) else 0
