"""`office`: the mailbox server behind the exchange, and the desk of those who write; its files as values, pure."""

from collections.abc import Iterator

from mxfleet.lab import machine, templates, world
from mxfleet.lab.credentials import Credentials
from mxfleet.lab.plan import Plan
from mxfleet.lab.root import Entry, GuestDirectory, GuestLink

UNITS = ("dovecot.service", "unbound.service")
RIGHTS = {"/etc/dovecot/users": (0o640, "root:dovecot")}


def entries(plan: Plan, credentials: Credentials) -> Iterator[Entry]:
    """Every file of `office` beyond those that all guests have."""
    values = world.known(plan, credentials)
    yield from templates.tree("resolver", values, {})
    yield from templates.tree("office", values, RIGHTS)
    yield from world.certificate(credentials, "office")
    yield GuestDirectory("/var/mail/office", 0o755, "5000:5000")
    yield from map(machine.enabled, UNITS)
    # Postfix and rspamd are in the image for `world`; nothing here may listen on port 25.
    yield GuestLink("/etc/systemd/system/postfix.service", "/dev/null")
