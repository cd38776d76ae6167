"""`mxfleet probe`: one annotated dialogue with a mail host, from a node, and what it comes to."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from mxfleet.cli.nodes import MXD, ask_all, chosen

ROOT = Path(__file__).resolve().parents[3]
app = typer.Typer(add_completion=False)
PATIENCE = 120.0
"""Seconds: a firewall that drops, a policy host that does not answer and a tired mail host take their time."""


@app.command()
def probe(
    host: Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="a host, an address, or a mail domain")],
    fleet_file: Annotated[Path | None, typer.Option("--fleet", help="inventory; else MXFLEET_FLEET")] = None,
    source: Annotated[
        str, typer.Option("--from", metavar="NODE", help="the first, where none is named")
    ] = "",
    starttls: Annotated[
        bool, typer.Option("--starttls", help="STARTTLS where it is offered; the default")
    ] = False,
    tls: Annotated[bool, typer.Option("--tls", help="TLS from the first octet (port 465)")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="no TLS")] = False,
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="ask for this recipient; nothing is sent")] = "",
    capture: Annotated[
        bool, typer.Option("--capture", help="keep the packets in a file on the node")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> int:
    """Speak with a mail host as the exchange would, and say what hinders mail: exit 0 where nothing does."""
    import msgspec

    from mxfleet.cli import probe_text
    from mxfleet.errors import FleetError
    from mxfleet.fleet.load import load
    from mxfleet.mxd.probe_report import Report

    if starttls + tls + plain > 1:
        raise FleetError("--starttls, --tls and --plain exclude one another", hint="give one of them")
    fleet = load(fleet_file, os.environ, ROOT)
    nodes = chosen(fleet, source)[:1]
    words = [host, "--tls" if tls else "--plain" if plain else "--starttls"]
    words += [f"--to={to}"] if to else []
    words += ["--capture"] if capture else []
    (answer,) = ask_all(fleet, nodes, f"{MXD} probe {shlex.join(words)}\n", PATIENCE)
    if answer.problem:
        print(f"mxfleet: {answer.node}: {answer.problem}", file=sys.stderr)
        return 1
    report = msgspec.json.decode(answer.text, type=Report)
    found = probe_text.verdict(report)
    if as_json:
        print(json.dumps(json.loads(answer.text) | {"verdict": found._asdict()}))
    else:
        print("\n".join(probe_text.told(report)))
        if report.capture:
            print(f"packets: {report.capture} on {report.node}")
    return 0 if found.word == "good" else 1
