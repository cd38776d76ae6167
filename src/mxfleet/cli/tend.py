"""`mxfleet tend`: everything that keys need, one permitted step each; made for a timer."""

import json
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
    from mxfleet.cli.tending import Live, as_values, run_until_quiet, stuck, waiting
    from mxfleet.fleet.load import choose, load_file
    from mxfleet.keys.ledger import read_state

    inventory = choose(fleet_file, os.environ, ROOT)
    fleet = load_file(inventory)
    read_state(ROOT / fleet.state_directory)  # a fleet without state is told how to begin
    live = Live.of(fleet, inventory, ROOT, deploys=not no_deploy)
    said: list[str] = []

    def say(sentence: str) -> None:
        said.append(sentence)
        if not json_output:
            print(sentence, flush=True)

    tended = run_until_quiet(live, "mxfleet tend", wait, say)
    if json_output:
        print(json.dumps({**as_values(tended), "done": said}, indent=2))
    else:
        for sentence in waiting(tended, live.clock()):
            print(sentence)
        if not said:
            print("nothing to do now")
    return 2 if stuck(tended) else 0
