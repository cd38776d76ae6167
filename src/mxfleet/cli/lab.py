"""`mxfleet lab`: boot, show, break and end the Internet on this machine."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mxfleet.cli.progress import progress

if TYPE_CHECKING:
    from mxfleet.fleet import Fleet
    from mxfleet.lab.plan import Guest

app = typer.Typer(add_completion=False, no_args_is_help=True)

FleetOption = Annotated[Path | None, typer.Option("--fleet", help="inventory; else MXFLEET_FLEET")]
JsonOption = Annotated[bool, typer.Option("--json", help="the result as JSON on standard output")]
YesOption = Annotated[bool, typer.Option("--yes", help="install missing Debian packages without asking")]
TakeOverOption = Annotated[bool, typer.Option("--take-over", help="end another clone's lab first")]
GuestArgument = Annotated[str, typer.Argument(metavar="GUEST", help="mx1, world, office, …")]
CLONE = Path(__file__).resolve().parents[3]
LAB_INVENTORY = CLONE / "inventories" / "lab.py"


@app.callback()
def lab() -> None:
    """Boot, show, break and end the Internet on this machine."""
    become_root()


def become_root() -> None:
    """Continue as root through sudo: namespaces and mounts need it."""
    if os.geteuid() == 0 or "--help" in sys.argv:
        return
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    kept = [f"{name}={os.environ[name]}" for name in ("CI", "MXFLEET_FLEET") if name in os.environ]
    words = ["sudo", "env", f"XDG_CACHE_HOME={cache}", *kept, str(CLONE / "mxfleet"), *sys.argv[1:]]
    os.execvp("sudo", words)  # noqa: S606


@app.command()
def up(
    fleet_file: FleetOption = None,
    json_output: JsonOption = False,
    yes: YesOption = False,
    take_over: TakeOverOption = False,
    bare: Annotated[bool, typer.Option("--bare", help="only boot the guests; deploy nothing")] = False,
) -> int:
    """Boot the fleet with an Internet around it, deploy it, and send mail both ways; repeated, it mends."""
    from mxfleet.cli import bring_up
    from mxfleet.lab import standing, state

    say = progress()
    fleet, inventory = boot_lab(fleet_file, say, yes=yes, take_over=take_over)
    if bare:
        say.end()
        facts = standing.facts(state.require())
        print(json.dumps(facts, indent=2) if json_output else standing.told(facts))
        return 0
    outcome = bring_up.bring_up(fleet, inventory, CLONE, say)
    say.end()
    return bring_up.report(outcome, fleet, inventory, CLONE, json_output=json_output)


def boot_lab(
    fleet_file: Path | None, say: Callable[[str], None], *, yes: bool, take_over: bool
) -> tuple["Fleet", Path]:
    """The part of `up` that ends with five guests that answer and nothing deployed."""
    from mxfleet.fleet.load import choose, load_file
    from mxfleet.lab import image, lifecycle, packages

    inventory = choose(fleet_file or os.environ.get("MXFLEET_FLEET") or LAB_INVENTORY, os.environ, CLONE)
    fleet = load_file(inventory)
    packages.ensure(lambda wanted: agreed(wanted, yes))
    lifecycle.boot(
        fleet,
        say,
        owner=CLONE,
        inventory=str(inventory),
        cache=image.cache_directory(os.environ),
        take_over=may_take_over(take_over),
    )
    return fleet, inventory


def agreed(packages: list[str], yes: bool) -> bool:
    """Whether Debian packages may be installed: told so, or on a CI runner, or asked on the terminal."""
    if yes or os.environ.get("CI") == "true":
        return True
    if not sys.stdin.isatty():
        return False
    return typer.confirm(f"install the Debian packages {', '.join(packages)} now?", err=True)


@app.command()
def status(json_output: JsonOption = False) -> int:
    """The lab's guests, addresses, faults and files; exit 1 where none is up."""
    from mxfleet.lab import standing, state

    facts = standing.facts(state.require())
    print(json.dumps(facts, indent=2) if json_output else standing.told(facts))
    return 0


@app.command()
def down(json_output: JsonOption = False, take_over: TakeOverOption = False) -> int:
    """End the lab, whole or half-made: no process, mount, namespace, interface or route of it stays."""
    from mxfleet.lab import lifecycle

    say = progress()
    found = lifecycle.down(None if may_take_over(take_over) else CLONE, say)
    say.end()
    if json_output:
        print(json.dumps({"removed": found}))
    elif not found:
        print("no lab is up on this machine")
    return 0


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def ssh(context: typer.Context, guest: GuestArgument) -> int:
    """Log in to a guest as ops, or run a command on it: `lab ssh mx2 'sudo systemctl status mxd'`."""
    from mxfleet.lab import state

    state.require()
    named_guest(guest)
    command = ["ssh", "-F", str(state.DIRECTORY / "ssh_config"), guest, *context.args]
    sys.stdout.flush()
    os.execvp("ssh", command)  # noqa: S606


@app.command("power-off")
def power_off(guest: GuestArgument, json_output: JsonOption = False) -> int:
    """Cut a guest's power; on the holder of the service address, measure how long until it answers again."""
    from mxfleet.lab import power

    say = progress()
    outcome = power.off(named_guest(guest), say)
    say.end()
    print(json.dumps(outcome.as_json()) if json_output else outcome.told())
    return 0


@app.command("power-on")
def power_on(guest: GuestArgument, json_output: JsonOption = False) -> int:
    """Boot a guest from its own disk, and return when it answers."""
    from mxfleet.lab import power

    seconds = power.on(named_guest(guest))
    print(
        json.dumps({"guest": guest, "seconds": seconds})
        if json_output
        else f"{guest} answers after {seconds:.1f} s"
    )
    return 0


@app.command()
def cut(guest: GuestArgument, json_output: JsonOption = False) -> int:
    """Pull a guest's cable; it runs on, alone."""
    from mxfleet.lab import faults

    return faulty(faults.cut, guest, "is cut off", json_output)


@app.command()
def isolate(guest: GuestArgument, json_output: JsonOption = False) -> int:
    """Separate a node from the other nodes only; world, office and you still reach it."""
    from mxfleet.lab import faults

    return faulty(faults.isolate, guest, "is isolated from the other nodes", json_output)


@app.command()
def heal(
    guest: Annotated[str | None, typer.Argument(metavar="[GUEST]", help="all, if none is named")] = None,
    json_output: JsonOption = False,
) -> int:
    """Put a guest's cable back and end its isolation; without a name, those of all guests."""
    from mxfleet.lab import faults, state
    from mxfleet.lab.plan import guests_of

    if guest:
        return faulty(faults.heal, guest, "is connected", json_output)
    record = state.require()
    with state.lock():
        faults.heal_all(guests_of(record.facts))
    print(json.dumps({"healed": "all"}) if json_output else "all guests are connected")
    return 0


def faulty(do: Callable[["Guest"], None], guest: str, told: str, json_output: bool) -> int:
    """Do one thing to a guest under the lab's lock, and say so."""
    from mxfleet.lab import state

    with state.lock():
        do(named_guest(guest))
    print(json.dumps({"guest": guest, "state": told}) if json_output else f"{guest} {told}")
    return 0


def named_guest(name: str) -> "Guest":
    """The running lab's guest of that name; raises LabError with the names that exist."""
    from mxfleet.lab import state
    from mxfleet.lab.plan import guest_of

    return guest_of(state.require().facts, name)


def may_take_over(asked: bool) -> bool:
    """Whether another clone's lab may be ended: when told so, and on a CI runner, where nobody is asked."""
    return asked or os.environ.get("CI") == "true"
