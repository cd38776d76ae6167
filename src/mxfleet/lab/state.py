"""What the lab on this machine is, on disk: one lab a machine, whichever clone of mxfleet started it."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mxfleet.errors import LabError
from mxfleet.lab.plan import Plan

DIRECTORY = Path("/run/mxfleet-lab")
LOCK = Path("/run/mxfleet-lab.lock")
"""Beside the directory, so that it can be held while the directory is removed."""


@dataclass(frozen=True, slots=True)
class Record:
    """Who owns the lab, for which fleet it is, and in which boot of this machine it began."""

    owner: str
    fleet: str
    inventory: str
    boot: str
    complete: bool
    facts: dict[str, Any]


def boot_id() -> str:
    """Changes with every boot of this machine: a record of an earlier one describes nothing that exists."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def read(directory: Path = DIRECTORY) -> Record | None:
    """The lab's record, or None where there is no lab, or only one from before a reboot."""
    try:
        facts = json.loads((directory / "lab.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if facts.get("boot") != boot_id():
        return None
    return Record(facts["owner"], facts["fleet"], facts["inventory"], facts["boot"], facts["complete"], facts)


def write(facts: dict[str, Any], directory: Path = DIRECTORY) -> None:
    """Replace the record, whole."""
    beside = directory / ".lab.json.new"
    beside.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    beside.rename(directory / "lab.json")


def facts_of(plan: Plan, owner: Path, inventory: str, *, complete: bool) -> dict[str, Any]:
    """What `lab.json` and `lab status --json` say of a lab; all of it public to root."""
    return {
        "owner": str(owner),
        "fleet": plan.fleet,
        "inventory": inventory,
        "boot": boot_id(),
        "complete": complete,
        "service": [str(address) for address in plan.service],
        "guests": {
            guest.name: {
                "role": guest.role,
                "hostname": guest.hostname,
                "addresses": [str(address) for address in guest.addresses],
                "namespace": guest.machine,
            }
            for guest in plan.guests
        },
        "zones": list(plan.zones),
        "mailboxes": list(plan.mailboxes),
        "ssh_config": str(DIRECTORY / "ssh_config"),
        "credentials": str(DIRECTORY / "credentials.json"),
        "authority": str(DIRECTORY / "authority.pem"),
        "root_hints": str(DIRECTORY / "root.hints"),
        "trust_anchor": str(DIRECTORY / "root.key"),
    }


def require() -> Record:
    """The record of the running lab; raises LabError where there is none."""
    record = read()
    if record is None:
        raise LabError("no lab is up on this machine", hint="mxfleet lab up")
    return record


@contextmanager
def lock() -> Iterator[None]:
    """Change the lab alone; a second command that would change it at the same time is told so."""
    while True:
        with LOCK.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LabError(
                    "another mxfleet lab command is at work on this machine", hint="wait, then repeat yours"
                ) from error
            if not _is_current(file.fileno()):
                continue  # `down` removed the file between our open and our lock
            yield
            return


def _is_current(descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), LOCK.stat())
    except FileNotFoundError:
        return False
