"""`mxfleet tls`: issue, import and list certificates."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, no_args_is_help=True)

ROOT = Path(__file__).resolve().parents[3]
FleetOption = Annotated[Path | None, typer.Option("--fleet", help="inventory; else MXFLEET_FLEET")]
JsonOption = Annotated[bool, typer.Option("--json", help="the result as JSON on standard output")]
ChainOption = Annotated[Path, typer.Option("--chain", help="PEM: the certificate, then its issuers")]
KeyOption = Annotated[Path, typer.Option("--key", help="PEM private key, readable by you alone")]


@app.callback()
def tls() -> None:
    """Issue, import and list certificates."""


@app.command()
def init(fleet_file: FleetOption = None, json_output: JsonOption = False) -> int:
    """Issue a laboratory's certificates from its own authority, where missing or about to end."""
    from mxfleet.errors import StateError
    from mxfleet.fleet.load import load
    from mxfleet.keys.authority import issue_missing
    from mxfleet.keys.ledger import wall_clock, writing
    from mxfleet.keys.needs import server_names
    from mxfleet.keys.vault import Vault

    fleet = load(fleet_file, os.environ, ROOT)
    if not fleet.laboratory:
        raise StateError(
            f"fleet {fleet.name!r} is no laboratory: nobody would trust a certificate of our own making, "
            "and ACME is not built yet",
            hint="mxfleet tls import NAME --chain FILE --key FILE",
        )
    vault = Vault.of(fleet, ROOT)
    with writing(ROOT / fleet.state_directory, wall_clock, "mxfleet tls init", fleet.name) as writer:
        vault.ensure_identity()
        issued = issue_missing(writer, vault, server_names(fleet))
    if json_output:
        print(json.dumps({"issued": [fact.name for fact in issued]}))
        return 0
    for fact in issued:
        print(f"issued a certificate for {fact.name}, valid until {fact.not_after:%Y-%m-%d}")
    print(
        "next: mxfleet deploy"
        if issued
        else "nothing to do: every name has a certificate for 30 days or more"
    )
    return 0


@app.command("import")
def import_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="the host name, e.g. mx.example.org")],
    chain: ChainOption,
    key: KeyOption,
    fleet_file: FleetOption = None,
    json_output: JsonOption = False,
) -> int:
    """Take a certificate made elsewhere: the key into the vault, the chain into the ledger."""
    from mxfleet.errors import StateError
    from mxfleet.fleet.load import load
    from mxfleet.keys.certificates import imported
    from mxfleet.keys.ledger import wall_clock, writing
    from mxfleet.keys.needs import server_names
    from mxfleet.keys.private_files import read_private
    from mxfleet.keys.vault import Vault

    fleet = load(fleet_file, os.environ, ROOT)
    if name not in server_names(fleet):
        raise StateError(
            f"fleet {fleet.name!r} has no host {name}", hint=f"its names are {', '.join(server_names(fleet))}"
        )
    fact, private = imported(
        name, _read(chain), read_private(key, "private key", "name the file"), wall_clock()
    )
    vault = Vault.of(fleet, ROOT)
    with writing(ROOT / fleet.state_directory, wall_clock, "mxfleet tls import", fleet.name) as writer:
        vault.ensure_identity()
        vault.write(fact.secret, private)
        writer.append(fact)
    if json_output:
        print(
            json.dumps(
                {"name": name, "fingerprint": fact.fingerprint, "not_after": fact.not_after.isoformat()}
            )
        )
    else:
        print(
            f"imported the certificate for {name}, valid until {fact.not_after:%Y-%m-%d}; next: mxfleet deploy"
        )
    return 0


@app.command()
def status(fleet_file: FleetOption = None, json_output: JsonOption = False) -> int:
    """List the certificates, and the names that have none."""
    from mxfleet.fleet.load import load
    from mxfleet.keys.ledger import read_state, wall_clock
    from mxfleet.keys.needs import server_names

    fleet = load(fleet_file, os.environ, ROOT)
    certificates = {fact.name: fact for fact in read_state(ROOT / fleet.state_directory).certificates}
    rows = []
    for name in server_names(fleet):
        fact = certificates.get(name)
        days = (fact.not_after - wall_clock()).days if fact else None
        rows.append({"name": name, "issuer": fact.issuer if fact else None, "days_left": days})
    if json_output:
        print(json.dumps({"fleet": fleet.name, "certificates": rows}, indent=2))
        return 0
    for row in rows:
        life = f"{row['issuer']:<10} {row['days_left']} days left" if row["issuer"] else "no certificate"
        print(f"{row['name']:<28} {life}")
    return 0


def _read(path: Path) -> bytes:
    from mxfleet.errors import StateError

    try:
        return path.read_bytes()
    except OSError as error:
        raise StateError(f"chain {path} cannot be read: {error.strerror}") from error
