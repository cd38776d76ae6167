"""The lab's network: a bridge in a namespace of its own, one port a guest, one leg to the operator.

Nothing leads out: guests have no default route, and while the lab is up the host has routes of last resort
that make both prefixes unreachable, so that a packet whose interface is gone never follows the default route.
"""

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path

from mxfleet.errors import LabError
from mxfleet.lab.command import attempt, run
from mxfleet.lab.plan import NETWORK4, NETWORK6, OPERATOR4, OPERATOR6, PREFIX, Guest

SWITCH = f"{PREFIX}switch"
OPERATOR = "mxlab0"
UPLINK = "operator"
NAMESPACES = Path("/run/netns")
LAST_RESORT = 4278198272  # a metric worse than any that a person or a daemon would give


def refuse_collision() -> None:
    """Raise LabError where the host already routes one of the lab's prefixes itself."""
    for family, network in (("-4", NETWORK4), ("-6", NETWORK6)):
        for route in _routes(family):
            destination = str(route.get("dst", ""))
            ours = route.get("dev") == OPERATOR or route.get("type") == "unreachable"
            if not ours and destination.split("/")[0] == str(network.network_address):
                raise LabError(
                    f"this machine already routes {destination} to {route.get('dev')}, the lab's own prefix",
                    hint=f"take that route away while the lab runs: ip route del {destination}",
                )


def _routes(family: str) -> list[dict[str, object]]:
    routes: list[dict[str, object]] = json.loads(run(["ip", "-j", family, "route", "show"]) or "[]")
    return routes


def namespaces() -> list[str]:
    """The lab's namespaces that exist now."""
    with contextlib.suppress(OSError):
        return sorted(path.name for path in NAMESPACES.iterdir() if path.name.startswith(PREFIX))
    return []


def build(guests: Iterable[Guest]) -> None:
    """Make switch, operator's leg and each guest's leg; what is there already stays, what is down goes up."""
    present = set(namespaces())
    if SWITCH not in present:
        run(["ip", "netns", "add", SWITCH])
    if not attempt(["ip", "-n", SWITCH, "link", "show", "bridge"]):
        _batch(SWITCH, SWITCH_LINES)
    if not is_connected():
        run(["ip", "link", "add", OPERATOR, "type", "veth", "peer", "name", UPLINK, "netns", SWITCH])
        run(["ip", "-n", SWITCH, "link", "set", UPLINK, "master", "bridge", "up"])
    _operator()
    for guest in guests:
        if guest.machine not in present:
            run(["ip", "netns", "add", guest.machine])
        connect(guest)


SWITCH_LINES = (
    "link set lo up",
    # No spanning tree and no delay: a port forwards as soon as it is up. Snooping off: no querier here.
    "link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
    "link set bridge up",
)


def is_connected() -> bool:
    """Whether the operator's leg is there; not from /sys, which shows the network of whoever mounted it."""
    return attempt(["ip", "link", "show", OPERATOR])


def _operator() -> None:
    enable = Path(f"/proc/sys/net/ipv6/conf/{OPERATOR}/disable_ipv6")
    if enable.exists():
        enable.write_text("0", encoding="ascii")
    _batch(
        None,
        [
            f"addr replace {OPERATOR4}/{NETWORK4.prefixlen} dev {OPERATOR}",
            f"addr replace {OPERATOR6}/{NETWORK6.prefixlen} dev {OPERATOR} nodad",
            f"link set {OPERATOR} up",
            f"route replace unreachable {NETWORK4} metric {LAST_RESORT}",
            f"route replace unreachable {NETWORK6} metric {LAST_RESORT}",
        ],
    )


def connect(guest: Guest) -> None:
    """Give the guest its eth0 with all its addresses, and a port of its own name on the switch."""
    if not attempt(["ip", "-n", guest.machine, "link", "show", "eth0"]):
        pair = f"link add {guest.name} type veth peer name eth0"
        _batch(SWITCH, [f"{pair} netns {guest.machine} address {guest.hardware}"])
    # Set here and not by the guest: networkd is masked in it, and a guest that just booted can be reached.
    _batch(guest.machine, leg(guest))
    _batch(SWITCH, [f"link set {guest.name} master bridge", f"link set {guest.name} up"])


def leg(guest: Guest) -> list[str]:
    """What `ip -batch` does in the guest's namespace."""
    lines = ["link set lo up", "link set eth0 up"]
    for address in guest.addresses:
        prefix = NETWORK4.prefixlen if address.version == 4 else NETWORK6.prefixlen
        # nodad: the addresses are unique by the plan, and detection would cost a second at every boot.
        lines.append(f"addr replace {address}/{prefix} dev eth0" + (" nodad" if address.version == 6 else ""))
    return lines


def forget(guest: Guest) -> None:
    """Remove the guest's namespace with its leg, addresses and firewall."""
    if guest.machine in namespaces():
        _unplug(guest.machine)
        run(["ip", "netns", "del", guest.machine])


def port(guest: str, state: str) -> None:
    """Set the guest's port on the switch `up` or `down`."""
    run(["ip", "-n", SWITCH, "link", "set", guest, state])


def addresses(guest: Guest) -> set[str]:
    """Every address on the guest's eth0 now, the service's included, read from outside; none without power."""
    if guest.machine not in namespaces():
        return set()
    text = run(["ip", "-n", guest.machine, "-j", "addr", "show", "dev", "eth0"])
    return {str(info["local"]) for link in json.loads(text) for info in link.get("addr_info", [])}


def port_states() -> dict[str, bool]:
    """Port name → whether it is up."""
    try:
        links = json.loads(run(["ip", "-n", SWITCH, "-j", "link", "show", "type", "veth"]))
    except LabError:
        return {}
    return {str(link["ifname"]): "UP" in link["flags"] for link in links}


def remove() -> None:
    """Remove everything that `build` made, and /run/netns itself where only the lab used it."""
    for metric_family in (["-4"], ["-6"]):
        network = NETWORK4 if metric_family == ["-4"] else NETWORK6
        attempt(
            ["ip", *metric_family, "route", "del", "unreachable", str(network), "metric", str(LAST_RESORT)]
        )
    if is_connected():
        attempt(["ip", "link", "del", OPERATOR])
    for name in namespaces():
        _unplug(name)
        run(["ip", "netns", "del", name])


def _unplug(name: str) -> None:
    """Delete the namespace's links first: a process that still holds the namespace must not keep them."""
    with contextlib.suppress(LabError):
        for link in json.loads(run(["ip", "-n", name, "-j", "link", "show", "type", "veth"])):
            attempt(["ip", "-n", name, "link", "del", str(link["ifname"])])


def remove_mount_of_namespaces() -> None:
    """Unmount and remove /run/netns where it is empty; `ip netns add` makes it anew when it is needed."""
    with contextlib.suppress(OSError):
        if not list(NAMESPACES.iterdir()):
            attempt(["umount", str(NAMESPACES)])
            NAMESPACES.rmdir()


def _batch(namespace: str | None, lines: Iterable[str]) -> None:
    """Many `ip` commands in one process; the first that fails raises LabError."""
    where = ["-n", namespace] if namespace else []
    run(["ip", *where, "-batch", "-"], "".join(f"{line}\n" for line in lines))
