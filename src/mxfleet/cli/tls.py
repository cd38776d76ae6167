"""`mxfleet tls`: issue, renew, import and list certificates."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mxfleet.fleet import Fleet
    from mxfleet.keys.state import State

app = typer.Typer(add_completion=False, no_args_is_help=True)

ROOT = Path(__file__).resolve().parents[3]
FleetOption = Annotated[Path | None, typer.Option("--fleet", help="inventory; else MXFLEET_FLEET")]
JsonOption = Annotated[bool, typer.Option("--json", help="the result as JSON on standard output")]
ChainOption = Annotated[Path, typer.Option("--chain", help="PEM: the certificate, then its issuers")]
KeyOption = Annotated[Path, typer.Option("--key", help="PEM private key, readable by you alone")]


@app.callback()
def tls() -> None:
    """Issue, renew, import and list certificates."""


@app.command()
def init(fleet_file: FleetOption = None, json_output: JsonOption = False) -> int:
    """The first certificates: by ACME where the fleet names an authority, else by a laboratory's own."""
    from mxfleet.errors import StateError
    from mxfleet.fleet.load import choose, load_file
    from mxfleet.keys.authority import issue_missing
    from mxfleet.keys.ledger import wall_clock, writing
    from mxfleet.keys.needs import certificate_names
    from mxfleet.keys.vault import Vault

    inventory = choose(fleet_file, os.environ, ROOT)
    fleet = load_file(inventory)
    if not fleet.laboratory and fleet.acme is None:
        raise StateError(
            f"fleet {fleet.name!r} is no laboratory and names no authority: nobody would trust a certificate "
            "of our own making",
            hint="acme=Acme(...) in the inventory, or mxfleet tls import NAME --chain FILE --key FILE",
        )
    vault = Vault.of(fleet, ROOT)
    with writing(ROOT / fleet.state_directory, wall_clock, "mxfleet tls init", fleet.name) as writer:
        vault.ensure_identity()
        issued = [] if fleet.acme else issue_missing(writer, vault, certificate_names(fleet))
    if fleet.acme:
        from mxfleet.cli.certifying import begin
        from mxfleet.cli.tending import Live

        issued = begin(Live.of(fleet, inventory, ROOT), "mxfleet tls init")
    if json_output:
        print(json.dumps({"issued": [fact.name for fact in issued]}))
        return 0
    for fact in issued:
        print(f"issued a certificate for {fact.name}, valid until {fact.not_after:%Y-%m-%d}")
    print("next: mxfleet deploy" if issued else "nothing to do: every name has a certificate")
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
    from mxfleet.keys.needs import certificate_names, hosts_of
    from mxfleet.keys.private_files import read_private
    from mxfleet.keys.tls import bring, refuse_spent
    from mxfleet.keys.vault import Vault

    fleet = load(fleet_file, os.environ, ROOT)
    names = certificate_names(fleet)
    if name not in names:
        raise StateError(f"fleet {fleet.name!r} has no host {name}", hint=f"its names are {', '.join(names)}")
    fact, private = imported(
        name, _read(chain), read_private(key, "private key", "name the file"), wall_clock()
    )
    vault = Vault.of(fleet, ROOT)
    with writing(ROOT / fleet.state_directory, wall_clock, "mxfleet tls import", fleet.name) as writer:
        refuse_spent(writer.state, fact)
        vault.ensure_identity()
        vault.write(fact.secret, private)
        hosts = hosts_of(fleet)
        held = bring(writer, fact, hosts)
    if json_output:
        print(
            json.dumps(
                {
                    "name": name,
                    "fingerprint": fact.fingerprint,
                    "not_after": fact.not_after.isoformat(),
                    "served": not held,
                }
            )
        )
    else:
        following = "next: mxfleet deploy"
        if held:
            turn = "has been in DNS long enough" if name in hosts.bound else "is due"
            following = f"it is served once its key {turn}; next: mxfleet tend"
        print(f"imported the certificate for {name}, valid until {fact.not_after:%Y-%m-%d}; {following}")
    return 0


@app.command()
def status(
    fleet_file: FleetOption = None,
    ledger_only: Annotated[
        bool, typer.Option("--ledger", help="only what is written; ask no node and no name server")
    ] = False,
    json_output: JsonOption = False,
) -> int:
    """List the certificates, the keys behind them, and what each waits for."""
    from mxfleet.fleet.load import load
    from mxfleet.keys.ledger import read_state, wall_clock
    from mxfleet.keys.lifecycle import KeyState
    from mxfleet.keys.needs import certificate_names

    fleet = load(fleet_file, os.environ, ROOT)
    state = read_state(ROOT / fleet.state_directory)
    waits, late = _look(fleet, state) if not ledger_only else ({}, {})
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys((*certificate_names(fleet), *(key.owner for key in state.tls()))):
        fact = state.served(name)
        days = (fact.not_after - wall_clock()).days if fact else None
        keys = [
            {"key": k.label, "state": str(k.state), "next": waits.get(k.id, "")}
            for k in sorted(state.tls(name), key=lambda k: k.step)
            if k.state is not KeyState.REMOVED
        ]
        if fact or keys or name in certificate_names(fleet):
            issuer = fact.issuer if fact else None
            row: dict[str, Any] = {"name": name, "issuer": issuer, "days_left": days, "keys": keys}
            rows.append(row | {"late": list(late.get(name, ()))})
    if json_output:
        print(json.dumps({"fleet": fleet.name, "certificates": rows}, indent=2))
        return 0
    for row in rows:
        life = f"{row['issuer']:<10} {row['days_left']} days left" if row["issuer"] else "no certificate"
        print(f"{row['name']:<28} {life}")
        for key in row["keys"]:
            print(f"    {key['key']:<18} {key['state']:<10} {key['next']}".rstrip())
        if row["late"]:
            print(
                f"    ! {', '.join(row['late'])}: another certificate is there, or is shown; next: mxfleet tend"
            )
    return 0


@app.command()
def renew(
    name: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="else all")] = None,
    same_key: Annotated[
        bool, typer.Option("--same-key", help="keep the key that is served: no TLSA record changes")
    ] = False,
    wait: Annotated[float, typer.Option("--wait", help="go on for so many seconds, step after step")] = 0.0,
    fleet_file: FleetOption = None,
    json_output: JsonOption = False,
) -> int:
    """Replace certificates now, each with the next key, whose TLSA record every name server must show."""
    from mxfleet.cli.renewing import renew_with_next, renew_with_same
    from mxfleet.cli.tending import Live
    from mxfleet.cli.tending_report import TendingReport
    from mxfleet.fleet.load import choose, load_file
    from mxfleet.keys.ledger import read_state

    inventory = choose(fleet_file, os.environ, ROOT)
    fleet = load_file(inventory)
    read_state(ROOT / fleet.state_directory)
    live = Live.of(fleet, inventory, ROOT)
    if same_key:
        issued = renew_with_same(live, tuple(name or ()))
        if json_output:
            print(json.dumps({"issued": issued}))
        else:
            print("\n".join(f"renewed {one} with the key that it has" for one in issued))
            print("next: mxfleet tend (or deploy) brings them to the nodes")
        return 0
    report = TendingReport(json_output)
    return report.end(renew_with_next(live, tuple(name or ()), wait, report.say), live.clock())


def _look(fleet: "Fleet", state: "State") -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """What keeps each key where it is, and by host name the nodes that are behind, asked of nodes and name servers now."""
    from mxfleet.cli.looking import look_at_nodes
    from mxfleet.cli.tending import waits_of
    from mxfleet.dns.key_sights import dissent
    from mxfleet.keys.ledger import wall_clock
    from mxfleet.keys.needs import hosts_of
    from mxfleet.keys.renewal import late_with, renewals
    from mxfleet.keys.sight import Observation

    now = wall_clock()
    seen, hosts = Observation(look_at_nodes(fleet, state), dissent(fleet, state)), hosts_of(fleet)
    decision = renewals(state, seen, fleet.policy.keys, now, hosts)
    return waits_of(decision.waits, now), {name: late_with(name, state, seen, hosts) for name in hosts.nodes}


def _read(path: Path) -> bytes:
    from mxfleet.errors import StateError

    try:
        return path.read_bytes()
    except OSError as error:
        raise StateError(f"chain {path} cannot be read: {error.strerror}") from error
