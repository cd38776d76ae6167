"""`mxfleet dns`: plan and apply the mail records."""

import json
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mxfleet.dns.activation import Activation
    from mxfleet.dns.families import Family
    from mxfleet.fleet import Fleet

app = typer.Typer(add_completion=False, no_args_is_help=True)

SPF_GUARD = "spf-limits"
MANY = 50
ROOT = Path(__file__).resolve().parents[3]
FleetOption = Annotated[Path | None, typer.Option("--fleet", help="inventory; else MXFLEET_FLEET")]
JsonOption = Annotated[bool, typer.Option("--json", help="the result as JSON on standard output")]
ZoneOption = Annotated[list[str] | None, typer.Option("--zone", help="only this zone (repeatable)")]
AdoptOption = Annotated[
    bool, typer.Option("--adopt", help="replace values of ours by meaning that others wrote")
]
ForceOption = Annotated[
    list[str] | None, typer.Option("--force", metavar="GUARD", help="let this guard pass")
]
WithoutOption = Annotated[
    list[str] | None, typer.Option("--without", metavar="FAMILY", help="leave these as they are (repeatable)")
]
OutOption = Annotated[Path | None, typer.Option("--out", help="write the plan here, for `apply --plan`")]
PlanOption = Annotated[Path | None, typer.Option("--plan", help="apply this plan file, or nothing")]
ExpectOption = Annotated[str, typer.Option("--expect", metavar="CHECKSUM", help="apply this plan or none")]
WaitOption = Annotated[float, typer.Option("--wait", help="seconds to wait for servers to show new keys")]


@app.callback()
def dns() -> None:
    """Plan and apply the mail records of the fleet's zones."""


def _families(names: Collection[str]) -> "frozenset[Family]":
    """The families of that name; raises DnsError with those that exist."""
    from mxfleet.dns.families import Family
    from mxfleet.errors import DnsError

    known = {str(family) for family in Family}
    if strange := [name for name in names if name not in known]:
        raise DnsError(
            f"there is no family {strange[0]!r} of records", hint=f"one of {', '.join(sorted(known))}"
        )
    return frozenset(Family(name) for name in names)


@app.command()
def plan(
    fleet_file: FleetOption = None,
    zone: ZoneOption = None,
    adopt: AdoptOption = False,
    without: WithoutOption = None,
    out: OutOption = None,
    json_output: JsonOption = False,
) -> int:
    """Show what `apply` would change; exit 2 where it would."""
    from mxfleet.dns.plan_file import write
    from mxfleet.dns.plan_text import plan_text
    from mxfleet.dns.publish import make_plan, providers_for
    from mxfleet.fleet.load import load
    from mxfleet.keys.ledger import read_state
    from mxfleet.keys.vault import Vault

    fleet = load(fleet_file, os.environ, ROOT)
    state = read_state(ROOT / fleet.state_directory)
    providers = providers_for(fleet, Vault.of(fleet, ROOT), os.environ, ROOT)
    left = _families(without or ())
    made = make_plan(fleet, state, providers, zones=zone or (), adopt=adopt, without=left, told=_told).plan
    if out:
        write(out, made, zones=tuple(zone or ()), adopt=adopt)
    if json_output:
        advice = [{"record": str(item.record), "why": item.why} for item in made.advice]
        facts = {"checksum": made.checksum, "pending": made.pending, **made.as_json(), "advice": advice}
        print(json.dumps(facts, indent=2))
    else:
        print(plan_text(made, _painter()), end="")
    return 2 if made.pending else 0


@app.command()
def apply(
    fleet_file: FleetOption = None,
    zone: ZoneOption = None,
    adopt: AdoptOption = False,
    force: ForceOption = None,
    without: WithoutOption = None,
    expect: ExpectOption = "",
    plan_file: PlanOption = None,
    wait: WaitOption = 30.0,
    json_output: JsonOption = False,
) -> int:
    """Make the records what the fleet wants, then make keys active that all servers show; exit 2 while one waits."""
    from mxfleet.dns.activation import activate_visible
    from mxfleet.dns.plan_file import read
    from mxfleet.dns.plan_text import plan_text
    from mxfleet.dns.publish import apply_plan, make_plan, providers_for, written_keys
    from mxfleet.fleet.load import load
    from mxfleet.keys.ledger import wall_clock, writing
    from mxfleet.keys.vault import Vault

    fleet = load(fleet_file, os.environ, ROOT)
    _refuse_unevaluable(fleet, force or ())
    if plan_file:
        saved = read(plan_file, fleet.name)
        zone, adopt, expect = list(saved.zones), saved.adopt, saved.checksum
    providers = providers_for(fleet, Vault.of(fleet, ROOT), os.environ, ROOT)
    with writing(ROOT / fleet.state_directory, wall_clock, "mxfleet dns apply", fleet.name) as writer:
        left = _families(without or ())
        planned = make_plan(
            fleet, writer.state, providers, zones=zone or (), adopt=adopt, without=left, told=_told
        )
        if not json_output:
            print(plan_text(planned.plan, _painter()), end="", flush=True)
        changed = apply_plan(
            planned,
            writer,
            providers,
            forced=[name for name in force or () if name != SPF_GUARD],
            expect=expect,
            told=_told,
        )
        if not json_output:
            print(f"done: {changed} changes made" if changed else "nothing to do", flush=True)
        activation = activate_visible(fleet, writer, rewritten=written_keys(planned.plan), patience=wait)
    if json_output:
        facts = {"checksum": planned.plan.checksum, "changed": changed, **activation_json(activation)}
        print(json.dumps(facts, indent=2))
    else:
        print(activation_text(activation), end="")
    return 2 if activation.waiting else 0


@app.command()
def drift(fleet_file: FleetOption = None, zone: ZoneOption = None, json_output: JsonOption = False) -> int:
    """Wanted against the provider, the provider against each authoritative server; exit 2 where they differ."""
    from mxfleet.dns.drift import by_server, lagging
    from mxfleet.dns.plan_text import plan_text
    from mxfleet.dns.publish import make_plan, providers_for
    from mxfleet.fleet.load import load
    from mxfleet.keys.ledger import read_state
    from mxfleet.keys.vault import Vault

    fleet = load(fleet_file, os.environ, ROOT)
    state = read_state(ROOT / fleet.state_directory)
    providers = providers_for(fleet, Vault.of(fleet, ROOT), os.environ, ROOT)
    planned = make_plan(fleet, state, providers, zones=zone or ())
    lags = lagging(fleet, planned)
    if json_output:
        servers = [
            {
                "server": lag.authority.name,
                "address": lag.authority.address,
                "record": str(lag.record),
                "says": lag.says,
                "serial": lag.serial,
            }
            for lag in lags
        ]
        print(
            json.dumps(
                {"pending": planned.plan.pending, **planned.plan.as_json(), "servers": servers}, indent=2
            )
        )
    else:
        print(plan_text(planned.plan, _painter()), end="")
        for server, lacking in by_server(lags).items():
            print(f"! {server} differs from the provider in {len(lacking)} records, e.g. {lacking[0]}")
        if not lags:
            print("every authoritative server shows what the provider holds")
    return 2 if planned.plan.pending or lags else 0


def _told(what: str, number: int, of: int) -> None:
    """A line on standard error for every fiftieth zone of a large fleet, so that nobody wonders."""
    if of > MANY and (number % MANY == 0 or number == of):
        print(f"{number} of {of} zones {what}", file=sys.stderr, flush=True)


def _refuse_unevaluable(fleet: "Fleet", forced: Collection[str]) -> None:
    """SPF records with terms of others are evaluated before they are published."""
    from mxfleet.dns.spf_limits import by_resolver, spf_problems
    from mxfleet.errors import GuardRefused

    if SPF_GUARD in forced:
        return
    for domain, sentence in spf_problems(fleet, by_resolver):
        raise GuardRefused(
            f"{SPF_GUARD}: {domain}: {sentence}", hint=f"if that is what you want: --force {SPF_GUARD}"
        )


def activation_text(activation: "Activation") -> str:
    """Which keys became active and which wait, with every server that does not show them yet."""
    from mxfleet.dns.authority import Verdict

    lines = [
        f"{key.label} of {key.owner}: every authoritative server shows it; active"
        for key in activation.active
    ]
    if activation.active:
        lines.append("next: mxfleet deploy (nodes sign with the active keys)")
    for key, sights in activation.waiting:
        lines.append(f"{key.label} of {key.owner}: not on all authoritative servers yet")
        lines += [f"    {sight}" for sight in sights if sight.verdict is not Verdict.SHOWN]
    if activation.waiting:
        lines.append("next: mxfleet dns apply (again, once the servers have caught up)")
    return "".join(f"{line}\n" for line in lines)


def activation_json(activation: "Activation") -> dict[str, Any]:
    """The same for programs."""
    return {
        "active": [{"domain": key.owner, "selector": key.label} for key in activation.active],
        "waiting": [
            {
                "domain": key.owner,
                "selector": key.label,
                "servers": [
                    {
                        "name": sight.authority.name,
                        "address": sight.authority.address,
                        "verdict": sight.verdict,
                        "serial": sight.serial,
                    }
                    for sight in sights
                ],
            }
            for key, sights in activation.waiting
        ],
    }


def _painter() -> Any:  # noqa: ANN401  (mxfleet.dns.plan_text.Paint, imported lazily)
    from mxfleet.dns.plan_text import plain

    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return plain
    codes = {"green": 32, "yellow": 33, "red": 31}
    return lambda colour, text: f"\x1b[{codes[colour]}m{text}\x1b[0m"
