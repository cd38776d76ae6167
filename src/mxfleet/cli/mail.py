"""`mxfleet mail`: send mail both ways and show the verdicts of the other side."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mxfleet.errors import LabError
from mxfleet.fleet import Fleet
from mxfleet.lab.letters import Letter, Post

ROOT = Path(__file__).resolve().parents[3]
app = typer.Typer(add_completion=False, no_args_is_help=True)

HEADINGS = {"to_peer": "to the peer", "from_peer": "from the peer", "forged": "forged, in our name"}


@app.callback()
def mail() -> None:
    """Send mail both ways and show the verdicts of the other side."""


@app.command()
def check(
    fleet_file: Annotated[Path | None, typer.Option("--fleet", help="inventory; else MXFLEET_FLEET")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="the three letters as JSON")] = False,
) -> int:
    """One message each way and a forged one: what goes out is judged by a Postfix with rspamd that is not ours."""
    from mxfleet.fleet.load import load

    letters = check_fleet(load(fleet_file, os.environ, ROOT))
    good = not any(letter.problems for letter in letters)
    if json_output:
        print(json.dumps({"passed": good, "letters": [asdict(letter) for letter in letters]}, indent=2))
    else:
        print("\n".join(line for letter in letters for line in told(letter)))
        print("mail check: all well" if good else "mail check: FAILED")
    return 0 if good else 1


def check_fleet(fleet: Fleet) -> tuple[Letter, ...]:
    """The letters of a laboratory fleet; raises LabError where there is no other side to ask."""
    from mxfleet.keys.ledger import read_signing
    from mxfleet.lab import letters
    from mxfleet.lab.trust import fleet_authority

    if not fleet.laboratory:
        raise LabError(
            f"fleet {fleet.name!r} is no laboratory: mail check needs the lab's peer and office, "
            "whose mailboxes and verdicts it reads",
            hint="for production: send a message to a mailbox elsewhere and read its Authentication-Results; "
            "pytest tests/fleet --fleet FILE checks what the nodes serve",
        )
    authority = fleet_authority(fleet, read_signing(ROOT / fleet.state_directory).authority_pem)
    return letters.check(Post(fleet, authority, _passwords(), _run))


def told(letter: Letter) -> list[str]:
    """The letter in a few lines: way, the other side's words, and ok or what is wrong."""
    between = f"{letter.sender} → {letter.recipient}  ({letter.way})" if letter.sender else letter.way
    lines = [f"{HEADINGS.get(letter.name, letter.name)}: {between}"]
    if letter.reply:
        lines.append(f"  reply    {letter.reply}")
    if letter.authentication_results:
        lines.append(f"  verdict  Authentication-Results: {letter.authentication_results}")
    if letter.trace:
        lines.append(f"  trace    {letter.trace} at {letter.node}")
    state = f"ok, {letter.seconds:.1f} s" if not letter.problems else "FAILED: " + "; ".join(letter.problems)
    return [*lines, f"  {state}"]


def _run(guest: str, command: list[str], standard_input: bytes) -> bytes:
    from mxfleet.lab.guests import run

    done = run(guest, command, input=standard_input)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["nothing"]
        raise LabError(f"{guest}: {command[0]} ended with {done.returncode} and said: {said[0]}")
    output: bytes = done.stdout
    return output


def _passwords() -> dict[str, str]:
    path = Path("/run/mxfleet-lab/credentials.json")
    try:
        users: dict[str, str] = json.loads(path.read_text())["users"]
    except FileNotFoundError as error:
        raise LabError(f"no {path}: the lab is not up", hint="mxfleet lab up") from error
    except PermissionError as error:
        raise LabError(f"{path} is for root only", hint="run mxfleet mail check as root") from error
    return users
