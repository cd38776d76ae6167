"""`mxfleet tend`: everything that keys need, one permitted step each; made for a timer."""

import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)

ROOT = Path(__file__).resolve().parents[3]


@app.command()
def tend(
    fleet_file: Annotated[Path | None, typer.Option("--fleet", help="inventory; else MXFLEET_FLEET")] = None,
    wait: Annotated[float, typer.Option("--wait", help="go on for so many seconds, step after step")] = 0.0,
    no_deploy: Annotated[
        bool, typer.Option("--no-deploy", help="do not bring nodes up to date; say which are behind")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="the result as JSON")] = False,
) -> int:
    """Look at nodes and name servers, take each key's next step where it may be taken; exit 2 where one is held up."""
    from mxfleet.cli.tending import Live, run_until_quiet
    from mxfleet.cli.tending_report import TendingReport
    from mxfleet.fleet.load import choose, load_file
    from mxfleet.keys.ledger import read_state

    inventory = choose(fleet_file, os.environ, ROOT)
    fleet = load_file(inventory)
    read_state(ROOT / fleet.state_directory)  # a fleet without state is told how to begin
    live = Live.of(fleet, inventory, ROOT, deploys=not no_deploy)
    report = TendingReport(json_output)
    tended = run_until_quiet(live, "mxfleet tend", wait, report.say)
    return report.end(tended, live.clock(), "" if report.said else "nothing to do now")
