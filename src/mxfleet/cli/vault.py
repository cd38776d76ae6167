"""`mxfleet vault`: seal every secret anew, for the people whom the inventory names now."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mxfleet.keys.vault import Vault

app = typer.Typer(add_completion=False, no_args_is_help=True)

ROOT = Path(__file__).resolve().parents[3]


@app.callback()
def about() -> None:
    """The age files with the fleet's secrets."""


@app.command()
def reseal(
    fleet_file: Annotated[Path | None, typer.Option("--fleet", help="inventory; else MXFLEET_FLEET")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the result as JSON")] = False,
) -> int:
    """Seal every secret for the inventory's recipients; whoever could open older copies still can."""
    from mxfleet.fleet.load import load
    from mxfleet.keys.vault import Vault

    vault = Vault.of(load(fleet_file, os.environ, ROOT), ROOT)
    names = seal_anew(vault)
    people = len(vault.recipients) or 1
    if as_json:
        print(json.dumps({"sealed": names, "recipients": people}))
    else:
        print(f"vault: {len(names)} secrets sealed for {people} recipients — next: mxfleet backup now")
    return 0


def seal_anew(vault: "Vault") -> list[str]:
    """Every secret is opened before the first is written: an identity that does not open all changes nothing."""
    secrets = {name: vault.read(name) for name in vault.names()}
    for name, secret in secrets.items():
        vault.write(name, secret)
    return list(secrets)
