"""`mxfleet dkim`: mint, list, rotate and withdraw signing keys."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mxfleet.fleet.model import Fleet
    from mxfleet.keys.state import State

app = typer.Typer(add_completion=False, no_args_is_help=True)

ROOT = Path(__file__).resolve().parents[3]
FleetOption = Annotated[Path | None, typer.Option("--fleet", help="inventory; else MXFLEET_FLEET")]
JsonOption = Annotated[bool, typer.Option("--json", help="the result as JSON on standard output")]
WaitOption = Annotated[float, typer.Option("--wait", help="go on for so many seconds, step after step")]
NEXT = {
    "minted": "mxfleet dns apply publishes it",
    "published": "mxfleet dns apply looks whether all servers show it",
    "visible": "mxfleet tend",
    "standby": "mxfleet tend",
    "ready": "mxfleet tend",
    "active": "signs",
    "draining": "mxfleet tend",
    "revoked": "mxfleet tend",
    "compromised": "mxfleet tend",
}


@app.callback()
def dkim() -> None:
    """Mint, list, rotate and withdraw signing keys."""


@app.command()
def init(fleet_file: FleetOption = None, json_output: JsonOption = False) -> int:
    """Make the vault's identity, the ledger and each sending domain's keys, where they are missing."""
    from mxfleet.fleet.load import load
    from mxfleet.keys.dkim import mint_missing
    from mxfleet.keys.ledger import wall_clock, writing
    from mxfleet.keys.needs import sending_domains
    from mxfleet.keys.prepare import ensure_backup_password, ensure_forwarding_key
    from mxfleet.keys.vault import Vault

    fleet = load(fleet_file, os.environ, ROOT)
    vault = Vault.of(fleet, ROOT)
    with writing(ROOT / fleet.state_directory, wall_clock, "mxfleet dkim init", fleet.name) as writer:
        made_identity = vault.ensure_identity()
        minted = mint_missing(writer, vault, sending_domains(fleet))
        ensure_backup_password(fleet, vault)
        ensure_forwarding_key(fleet, vault)
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
def status(
    fleet_file: FleetOption = None,
    ledger_only: Annotated[
        bool, typer.Option("--ledger", help="only what is written; ask no node and no name server")
    ] = False,
    json_output: JsonOption = False,
) -> int:
    """List the keys, where each is in its life, and what keeps it there."""
    from mxfleet.fleet.load import load
    from mxfleet.keys.ledger import read_state

    fleet = load(fleet_file, os.environ, ROOT)
    state = read_state(ROOT / fleet.state_directory)
    rows = _rows(fleet, state, {} if ledger_only else _waits(fleet, state))
    if json_output:
        print(json.dumps({"fleet": fleet.name, "keys": rows}, indent=2))
        return 0
    for row in rows:
        print(
            f"{row['domain']:<24} {row['selector']:<18} {row['state']:<10} since {row['since']}  {row['next']}".rstrip()
        )
    for domain in _without(fleet, state):
        print(f"{domain:<24} has no active key: its mail would leave unsigned")
    return 0


@app.command()
def rotate(
    domain: Annotated[list[str] | None, typer.Argument(metavar="[DOMAIN]...", help="else all")] = None,
    wait: WaitOption = 0.0,
    fleet_file: FleetOption = None,
    json_output: JsonOption = False,
) -> int:
    """Replace keys by their spares: RSA first, Ed25519 once that is proven; then `mxfleet tend` finishes it."""
    from mxfleet.errors import StateError
    from mxfleet.fleet.load import choose, load_file
    from mxfleet.keys.facts import RotationWished
    from mxfleet.keys.ledger import read_state, wall_clock, writing
    from mxfleet.keys.needs import sending_domains
    from mxfleet.keys.state import ALGORITHMS

    inventory = choose(fleet_file, os.environ, ROOT)
    fleet = load_file(inventory)
    chosen = tuple(domain or sending_domains(fleet))
    if strange := [name for name in chosen if name not in sending_domains(fleet)]:
        raise StateError(
            f"fleet {fleet.name!r} signs for no domain {strange[0]}",
            hint=f"it signs for {', '.join(sending_domains(fleet))}",
        )
    read_state(ROOT / fleet.state_directory)
    with writing(ROOT / fleet.state_directory, wall_clock, "mxfleet dkim rotate", fleet.name) as writer:
        pairs = [(name, algorithm) for name in chosen for algorithm in ALGORITHMS]
        wishes = [pair for pair in pairs if pair not in writer.state.wishes]
        writer.append(*(RotationWished(owner=name, algorithm=algorithm) for name, algorithm in wishes))
    return _tend(fleet, inventory, "mxfleet dkim rotate", wait, json_output=json_output)


@app.command()
def compromise(
    selector: Annotated[list[str] | None, typer.Argument(metavar="SELECTOR...")] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="all keys that nodes have: a node was broken into")
    ] = False,
    drain: Annotated[
        int,
        typer.Option("--drain", metavar="SECONDS", min=0, help="revoke so long after the last node left it"),
    ] = 0,
    wait: Annotated[
        float, typer.Option("--wait", help="without a spare: seconds to wait for a new key to be visible")
    ] = 60.0,
    fleet_file: FleetOption = None,
    json_output: JsonOption = False,
) -> int:
    """Switch all nodes to the spare at once, without waiting for DNS, and revoke the key; says what it costs."""
    from mxfleet.cli.tending import Live
    from mxfleet.cli.tending_report import TendingReport
    from mxfleet.cli.withdrawing import told, until_signed, withdraw
    from mxfleet.fleet.load import choose, load_file
    from mxfleet.keys.ledger import read_state

    inventory = choose(fleet_file, os.environ, ROOT)
    fleet = load_file(inventory)
    lost = _lost(read_state(ROOT / fleet.state_directory), selector or (), everything=everything)
    by = "mxfleet dkim compromise"
    live, report = Live.of(fleet, inventory, ROOT), TendingReport(json_output)
    live.urgent = True
    done = withdraw(live, lost, drain, by, lambda cost: report.say(f"! {cost}"))
    for line in told(done, drain):
        report.say(line)
    if done.bare:
        until_signed(live, done, by, wait, report.say)
    if json_output:
        print(json.dumps(done.as_values(), indent=2))
    return 2 if done.trouble else 0


def _lost(state: "State", named: "Sequence[str]", *, everything: bool) -> list[str]:
    """The keys that are given up; `everything` is what lies on nodes and what signed there lately."""
    from mxfleet.errors import StateError

    lost = list(named)
    if everything:
        lost += [f"{key.label}._domainkey.{key.owner}" for key in state.dkim() if key.on_nodes]
    if not lost:
        raise StateError("which key? none was named", hint="mxfleet dkim status lists them")
    return lost


def _tend(fleet: "Fleet", inventory: Path, by: str, wait: float, *, json_output: bool) -> int:
    from mxfleet.cli.tending import Live, run_until_quiet
    from mxfleet.cli.tending_report import TendingReport

    live, report = Live.of(fleet, inventory, ROOT), TendingReport(json_output)
    return report.end(run_until_quiet(live, by, wait, report.say), live.clock())


def _waits(fleet: "Fleet", state: "State") -> dict[str, str]:
    """What keeps each key where it is, asked of nodes and name servers now."""
    from mxfleet.cli.looking import look_at_nodes
    from mxfleet.cli.tending import waits_of
    from mxfleet.dns.key_sights import dissent
    from mxfleet.keys.ledger import wall_clock
    from mxfleet.keys.needs import sending_domains
    from mxfleet.keys.rotation import permitted
    from mxfleet.keys.sight import Observation

    now = wall_clock()
    seen = Observation(look_at_nodes(fleet, state), dissent(fleet, state))
    decision = permitted(state, seen, fleet.policy.keys, now, sending_domains(fleet))
    return waits_of(decision.waits, now)


def _rows(fleet: "Fleet", state: "State", waits: dict[str, str]) -> list[dict[str, Any]]:
    domains, signers = {domain.name for domain in fleet.domains}, state.signers()
    return [
        {
            "domain": key.owner,
            "selector": key.label,
            "algorithm": key.algorithm,
            "state": str(key.state),
            "since": f"{key.since:%Y-%m-%d %H:%M:%S} UTC",
            "in_fleet": key.owner in domains,
            "signs": key in signers,
            "next": waits.get(key.id, NEXT.get(key.state, "")),
        }
        for key in state.dkim()
    ]


def _without(fleet: "Fleet", state: "State") -> list[str]:
    from mxfleet.keys.needs import sending_domains

    signed = {key.domain for key in state.signing().dkim}
    return [domain for domain in sending_domains(fleet) if domain not in signed]
