"""What `world` and `office` run besides Debian, and how to tell that a guest is ready."""

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from mxfleet.errors import LabError
from mxfleet.lab import guests, neighbours, office, world
from mxfleet.lab.credentials import Credentials
from mxfleet.lab.plan import OFFICE4, OFFICE6, SECONDARY4, SECONDARY6, WORLD4, WORLD6, Guest, Plan
from mxfleet.lab.root import Entry
from mxfleet.lab.state import DIRECTORY

SERVES = {
    "node": "what the roles deploy",
    "world": "Knot, BIND, Pebble, Postfix and rspamd of peer.test, web servers, difficult mail hosts",
    "office": "Dovecot, the users' mail programs",
}
PORTS = {
    "world": (
        (WORLD4, 53),
        (WORLD6, 53),
        (SECONDARY4, 53),
        (SECONDARY6, 53),
        (WORLD4, 25),
        (WORLD6, 25),
        (WORLD4, 443),
        (neighbours.ADDRESSES[-2], 25),
    ),
    "office": ((OFFICE4, 24), (OFFICE6, 24), (OFFICE4, 143)),
}
SMTP = 25
SPEAKS_FIRST = {22, 24, SMTP, 143}
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


def wait(waited: Iterable[Guest], seconds: float = BOOT_SECONDS) -> None:
    """Return when every guest answers on its ports; raises LabError that names one that does not."""
    end = time.monotonic() + seconds
    for guest in waited:
        for address, port in ports(guest):
            _until(partial(answers, address, port), end, guest, f"on {address} port {port}")
        if guest.role in PORTS:
            _until(partial(resolves, guest), end, guest, "with a validated name")


def _until(ready: Callable[[], bool], end: float, guest: Guest, what: str) -> None:
    hint = f"see {DIRECTORY}/{guest.name}.console, then mxfleet lab up again"
    while not ready():
        if not guests.runs(guest.name):
            raise LabError(f"{guest.name} ended: {guests.last_words(guest.name)}", hint=hint)
        if time.monotonic() > end:
            raise LabError(f"{guest.name} does not answer {what}", hint=hint)
        time.sleep(0.02)


def answers(address: str, port: int) -> bool:
    """Whether a server greets, or accepts where the client speaks first; of SMTP also its EHLO.

    A Postfix whose filter is not there yet greets, and then refuses every command with 451.
    """
    try:
        with socket.create_connection((address, port), timeout=1) as connection:
            if port not in SPEAKS_FIRST:
                return True
            greeted = bool(connection.recv(512))
            if port != SMTP:
                return greeted
            connection.sendall(b"EHLO operator.peer.test\r\n")
            return connection.recv(512).startswith(b"250")
    except OSError:
        return False


def resolves(guest: Guest) -> bool:
    """Whether the guest's resolver gives validated answers (the AD flag, RFC 4035 §3.2.3)."""
    command = ["dig", "+noall", "+comments", "+time=1", "+tries=1", "@127.0.0.1", "peer.test", "SOA"]
    flags = guests.run(guest.name, command).stdout.partition(b"flags:")[2].split(b";")[0].split()
    return b"ad" in flags
