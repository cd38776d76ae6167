"""`mxfleet dkim`: mint and list signing keys."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mxfleet.fleet.model import Fleet
    from mxfleet.keys.state import State

app = typer.Typer(add_completion=False, no_args_is_help=True)

ROOT = Path(__file__).resolve().parents[3]
FleetOption = Annotated[Path | None, typer.Option("--fleet", help="inventory; else MXFLEET_FLEET")]
JsonOption = Annotated[bool, typer.Option("--json", help="the result as JSON on standard output")]
NEXT = {
    "minted": "mxfleet dns apply publishes it",
    "published": "mxfleet dns apply looks whether all servers show it",
    "visible": "an older key signs",
    "active": "signs",
}


@app.callback()
def dkim() -> None:
    """Mint and list signing keys."""


@app.command()
def init(fleet_file: FleetOption = None, json_output: JsonOption = False) -> int:
    """Make the vault's identity, the ledger and each sending domain's keys, where they are missing."""
    from mxfleet.fleet.load import load
    from mxfleet.keys.dkim import mint_missing
    from mxfleet.keys.ledger import wall_clock, writing
    from mxfleet.keys.needs import sending_domains
    from mxfleet.keys.prepare import ensure_backup_password
    from mxfleet.keys.vault import Vault

    fleet = load(fleet_file, os.environ, ROOT)
    vault = Vault.of(fleet, ROOT)
    with writing(ROOT / fleet.state_directory, wall_clock, "mxfleet dkim init", fleet.name) as writer:
        made_identity = vault.ensure_identity()
        minted = mint_missing(writer, vault, sending_domains(fleet))
        ensure_backup_password(fleet, vault)
    if json_output:
        keys = [{"domain": m.owner, "selector": m.label, "algorithm": m.algorithm} for m in minted]
        print(json.dumps({"identity": str(vault.identity), "identity_made": made_identity, "minted": keys}))
        return 0
    if made_identity:
        print(
            f"made the age identity {vault.identity}: keep a copy elsewhere; nothing opens the vault without it"
        )
    for fact in minted:
        print(f"minted {fact.label} for {fact.owner} ({fact.algorithm})")
    print("next: mxfleet dns apply" if minted else "nothing to do: every sending domain has its keys")
    return 0


@app.command()
def status(fleet_file: FleetOption = None, json_output: JsonOption = False) -> int:
    """List the keys and where each is in its life."""
    from mxfleet.fleet.load import load
    from mxfleet.keys.ledger import read_state

    fleet = load(fleet_file, os.environ, ROOT)
    state = read_state(ROOT / fleet.state_directory)
    rows = _rows(fleet, state)
    if json_output:
        print(json.dumps({"fleet": fleet.name, "keys": rows}, indent=2))
        return 0
    for row in rows:
        after = NEXT.get(row["state"], "")
        print(
            f"{row['domain']:<24} {row['selector']:<18} {row['state']:<10} since {row['since']}  {after}".rstrip()
        )
    for domain in _without(fleet, state):
        print(f"{domain:<24} has no active key: its mail would leave unsigned")
    return 0


def _rows(fleet: "Fleet", state: "State") -> list[dict[str, Any]]:
    domains = {domain.name for domain in fleet.domains}
    return [
        {
            "domain": key.owner,
            "selector": key.label,
            "algorithm": key.algorithm,
            "state": str(key.state),
            "since": f"{key.since:%Y-%m-%d %H:%M:%S} UTC",
            "in_fleet": key.owner in domains,
        }
        for key in state.dkim()
    ]


def _without(fleet: "Fleet", state: "State") -> list[str]:
    from mxfleet.keys.needs import sending_domains

    signed = {key.domain for key in state.signing().dkim}
    return [domain for domain in sending_domains(fleet) if domain not in signed]
