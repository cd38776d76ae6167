"""What `world` and `office` run besides Debian, and how to tell that a guest is ready."""

import socket
import time
from collections.abc import Iterable, Iterator

from mxfleet.errors import LabError
from mxfleet.lab import office, world
from mxfleet.lab.credentials import Credentials
from mxfleet.lab.plan import OFFICE4, OFFICE6, SECONDARY4, SECONDARY6, WORLD4, WORLD6, Guest, Plan
from mxfleet.lab.root import Entry
from mxfleet.lab.state import DIRECTORY

SERVES = {
    "node": "what the roles deploy",
    "world": "Knot, BIND, Postfix and rspamd of peer.test",
    "office": "Dovecot, the users' mail programs",
}
PORTS = {
    "world": ((WORLD4, 53), (WORLD6, 53), (SECONDARY4, 53), (SECONDARY6, 53), (WORLD4, 25), (WORLD6, 25)),
    "office": ((OFFICE4, 24), (OFFICE6, 24), (OFFICE4, 143)),
}
SPEAKS_FIRST = {22, 24, 25, 143}
"""Ports on which the server greets before the client says anything."""
BOOT_SECONDS = 60


def entries(guest: Guest, plan: Plan, credentials: Credentials) -> Iterator[Entry]:
    """Everything that makes the guest what its role says; nothing for a node, which the fleet deploys."""
    if guest.role == "world":
        yield from world.entries(plan, credentials)
    elif guest.role == "office":
        yield from office.entries(plan, credentials)


def ports(guest: Guest) -> list[tuple[str, int]]:
    """The (address, port) pairs that answer once the guest is ready."""
    own = PORTS.get(guest.role, ())
    return [(str(guest.addresses[0]), 22), *((str(address), port) for address, port in own)]


def wait(guests: Iterable[Guest], seconds: float = BOOT_SECONDS) -> None:
    """Return when every guest answers on its ports; raises LabError that names one that does not."""
    end = time.monotonic() + seconds
    for guest in guests:
        for address, port in ports(guest):
            while not answers(address, port):
                if time.monotonic() > end:
                    raise LabError(
                        f"{guest.name}: nothing answers on {address} port {port} after {seconds:.0f} s",
                        hint=f"see {DIRECTORY}/{guest.name}.console, then mxfleet lab up again",
                    )
                time.sleep(0.02)


def answers(address: str, port: int) -> bool:
    """Whether a server greets, or accepts where the client speaks first."""
    try:
        with socket.create_connection((address, port), timeout=1) as connection:
            return port not in SPEAKS_FIRST or bool(connection.recv(4))
    except OSError:
        return False
