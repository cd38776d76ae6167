"""`mxfleet account`: passwords of those who submit mail, and other secrets that the fleet names."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, no_args_is_help=True)

ROOT = Path(__file__).resolve().parents[3]
FleetOption = Annotated[Path | None, typer.Option("--fleet", help="inventory; else MXFLEET_FLEET")]
JsonOption = Annotated[bool, typer.Option("--json", help="the result as JSON on standard output")]


@app.callback()
def account() -> None:
    """Set passwords of accounts and other secrets; read from the terminal or standard input, never from arguments."""


@app.command("set")
def set_(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="an account of the fleet")],
    fleet_file: FleetOption = None,
    json_output: JsonOption = False,
) -> int:
    """Keep the hash of an account's password in the vault."""
    from mxfleet.errors import StateError
    from mxfleet.fleet.load import load
    from mxfleet.keys.accounts import set_password
    from mxfleet.keys.vault import Vault

    fleet = load(fleet_file, os.environ, ROOT)
    found = [account for account in fleet.accounts if account.address == address]
    if not found:
        known = ", ".join(account.address for account in fleet.accounts) or "none"
        raise StateError(f"fleet {fleet.name!r} has no account {address}", hint=f"its accounts are {known}")
    vault = Vault.of(fleet, ROOT)
    vault.ensure_identity()
    changed = set_password(vault, found[0], ask(f"password of {address}: "))
    if json_output:
        print(json.dumps({"account": address, "changed": changed}))
    else:
        print(
            f"{address}: {'password set; next: mxfleet deploy' if changed else 'the same password as before'}"
        )
    return 0


@app.command()
def secret(
    name: Annotated[str, typer.Argument(metavar="NAME", help='as in Secret("routes/exchange")')],
    fleet_file: FleetOption = None,
    json_output: JsonOption = False,
) -> int:
    """Seal any other secret that the fleet names, such as a next hop's password."""
    from mxfleet.errors import StateError
    from mxfleet.fleet.load import load
    from mxfleet.keys.vault import Vault

    kinds = ("dkim/", "tls/", "accounts/")
    if name.startswith(kinds):
        raise StateError(f"{name} has a command of its own", hint="mxfleet dkim | tls | account set")
    fleet = load(fleet_file, os.environ, ROOT)
    vault = Vault.of(fleet, ROOT)
    vault.ensure_identity()
    vault.write(name, ask(f"secret {name}: ").encode())
    print(json.dumps({"secret": name}) if json_output else f"{name}: sealed in {vault.directory}")
    return 0


def ask(prompt: str) -> str:
    """One line from standard input; on a terminal without echo, twice."""
    import getpass

    from mxfleet.errors import StateError

    if not sys.stdin.isatty():
        line = sys.stdin.readline().rstrip("\r\n")
    else:
        line = getpass.getpass(prompt)
        if getpass.getpass("once more: ") != line:
            raise StateError("the two entries differ", hint="run it again")
    if not line:
        raise StateError("nothing was entered", hint="type it, or give it on standard input")
    return line
