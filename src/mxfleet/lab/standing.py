"""How the lab stands now: its record, and what is observed of each guest."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from mxfleet.lab import cgroup, faults, guests, network, services
from mxfleet.lab.plan import guests_of
from mxfleet.lab.state import Record


def facts(record: Record) -> dict[str, Any]:
    """The record's facts with, for each guest, `runs`, `cable`, `isolated`, `answers` and `holds` (service)."""
    ports, isolated, service = network.port_states(), faults.isolated(), set(record.facts["service"])
    observed = dict(record.facts)
    observed["guests"] = {}
    for guest in guests_of(record.facts):
        runs = guests.runs(guest.name)
        address, port = services.ports(guest)[0]
        observed["guests"][guest.name] = record.facts["guests"][guest.name] | {
            "runs": runs,
            "cable": "up" if ports.get(guest.name) else "down",
            "isolated": guest.name in isolated,
            "answers": runs and services.answers(address, port),
            "holds": sorted(network.addresses(guest) & service) if runs else [],
            "serves": services.SERVES[guest.role],
            "memory": memory(guest.name),
        }
    return observed


def memory(guest: str) -> int:
    """The guest's proportional set size in octets: what it costs this machine, shared pages by share."""
    total = 0
    for pid in cgroup.processes(guests.group(guest)):
        with suppress(OSError):  # it may end while we look
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def told(facts: dict[str, Any]) -> str:
    """The same for a person: one line a guest, then where the files are."""
    lines = [f"lab for fleet {facts['fleet']} ({facts['inventory']}), owned by {facts['owner']}"]
    if not facts["complete"]:
        lines.append("half-made: mxfleet lab up completes it")
    lines += [_line(name, guest) for name, guest in facts["guests"].items()]
    total = sum(guest["memory"] for guest in facts["guests"].values())
    lines.append(f"memory       {total // 1024**2} MiB, all guests together")
    lines.append(f"ssh          ssh -F {facts['ssh_config']} mx1, or: mxfleet lab ssh mx1")
    lines.append(f"credentials  {facts['credentials']}")
    return "\n".join(lines)


def _line(name: str, guest: dict[str, Any]) -> str:
    troubles = [
        word
        for word, holds in (
            ("off", not guest["runs"]),
            ("cut off", guest["runs"] and guest["cable"] == "down"),
            ("isolated from its peers", guest["isolated"]),
            ("does not answer", guest["runs"] and guest["cable"] == "up" and not guest["answers"]),
        )
        if holds
    ]
    state = ", ".join(troubles) or "up"
    holding = f"; holds {' '.join(guest['holds'])}" if guest["holds"] else ""
    return f"{name:<7} {' '.join(guest['addresses'][:2]):<28} {guest['hostname']:<17} {state}{holding}  [{guest['serves']}]"
