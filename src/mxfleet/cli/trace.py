"""`mxfleet trace`: the life of a message over all nodes, as one timeline."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from mxfleet.cli.nodes import ask_all, chosen

ROOT = Path(__file__).resolve().parents[3]
app = typer.Typer(add_completion=False)

SCRIPT = """
log() {{ journalctl --quiet --no-pager --output=cat --unit=mxd.service --since={since}; }}
ids() {{ grep -oE '"(trace|bounce)":"[^"]+"' | cut -d '"' -f 4 | sort -u | head -n {most}; }}
found=$(log | grep -F -e {word} | ids)
[ -n "$found" ] || exit 0
found=$(log | grep -F -e "$found" | ids)
log | grep -F -e "$found"
"""
MOST = 200
"""Messages shown of one node, at most."""


@app.command()
def trace(
    word: Annotated[str, typer.Argument(help="a trace id, a Message-ID or an address")],
    fleet_file: Annotated[Path | None, typer.Option("--fleet", help="inventory; else MXFLEET_FLEET")] = None,
    node: Annotated[str, typer.Option("--node", help="only this node")] = "",
    since: Annotated[str, typer.Option(help="as journalctl takes it")] = "-7d",
    as_json: Annotated[bool, typer.Option("--json", help="the log lines, one object each")] = False,
) -> int:
    """What happened to a message, in order, with the other hosts' words; its bounce with it."""
    from mxfleet.cli import timeline
    from mxfleet.fleet.load import load

    fleet = load(fleet_file, os.environ, ROOT)
    script = SCRIPT.format(word=shlex.quote(word), since=shlex.quote(since), most=MOST)
    answers = ask_all(fleet, chosen(fleet, node), script)
    found = [event for answer in answers for event in timeline.events(answer.node, answer.text)]
    if as_json:
        ordered = sorted(found, key=lambda event: event.time)
        print(json.dumps([{"node": event.node} | event.fields for event in ordered]))
    else:
        print("\n".join(timeline.told(found)) or f"no node knows {word}")
    for answer in answers:
        if answer.problem:
            print(f"mxfleet: {answer.node}: {answer.problem}: its part is missing", file=sys.stderr)
    return 0 if found else 1
