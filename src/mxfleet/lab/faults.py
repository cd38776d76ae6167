"""Break the lab on purpose, by name: cut, isolate, and heal; power is in `guests`."""

import json
from collections.abc import Iterable

from mxfleet.errors import LabError
from mxfleet.lab import network
from mxfleet.lab.command import attempt, run
from mxfleet.lab.plan import Guest, guests_of
from mxfleet.lab.state import require

TABLE = "bridge faults"
RULES = """\
table {table} {{
    set isolated {{ type ifname; }}
    set nodes {{ type ifname; elements = {{ {nodes} }} }}
    chain forward {{
        type filter hook forward priority 0;
        iifname @isolated oifname @nodes drop
        iifname @nodes oifname @isolated drop
    }}
}}
"""
"""On the switch, out of the guests' reach: their own firewalls stay as they are."""


def cut(guest: Guest) -> None:
    """Pull the guest's cable: its port on the switch goes down, the guest runs on."""
    _plugged(guest)
    network.port(guest.name, "down")


def isolate(guest: Guest) -> None:
    """Separate the node from the other nodes only: `world`, `office` and the operator still reach it."""
    if guest.role != "node":
        raise LabError(f"{guest.name} is no node: isolate separates a node from its peers", hint="use cut")
    _plugged(guest)
    if not attempt(_nft("list", "table", *TABLE.split())):
        everyone = guests_of(require().facts)
        nodes = ", ".join(f'"{other.name}"' for other in everyone if other.role == "node")
        run(_nft("-f", "-"), RULES.format(table=TABLE, nodes=nodes))
    run(_nft("add", "element", *TABLE.split(), "isolated", f'{{ "{guest.name}" }}'))


def heal(guest: Guest) -> None:
    """Put the guest's cable back and end its isolation."""
    _plugged(guest)
    network.port(guest.name, "up")
    if guest.name in isolated():
        run(_nft("delete", "element", *TABLE.split(), "isolated", f'{{ "{guest.name}" }}'))


def heal_all(guests: Iterable[Guest]) -> None:
    """Put all cables back and end every isolation; a guest without power has no cable."""
    ports = network.port_states()
    for guest in guests:
        if guest.name in ports:
            heal(guest)


def _plugged(guest: Guest) -> None:
    if guest.name not in network.port_states():
        raise LabError(f"{guest.name} has no power, and no cable", hint=f"mxfleet lab power-on {guest.name}")


def isolated() -> set[str]:
    """The names of the guests that are isolated now."""
    if not (network.NAMESPACES / network.SWITCH).exists():
        return set()
    if not attempt(_nft("list", "table", *TABLE.split())):
        return set()
    listed = json.loads(run(_nft("-j", "list", "set", *TABLE.split(), "isolated")))
    return {str(name) for item in listed["nftables"] for name in item.get("set", {}).get("elem", [])}


def _nft(*words: str) -> list[str]:
    return ["nsenter", f"--net={network.NAMESPACES / network.SWITCH}", "nft", *words]
