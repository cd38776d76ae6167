"""What every guest gets, as a freshly installed host from a provider would: a name, a login, host keys; pure."""

from collections.abc import Iterator

from mxfleet.lab.access import LOGIN
from mxfleet.lab.plan import Guest
from mxfleet.lab.root import Entry, GuestDirectory, GuestFile, GuestLink

ACCOUNT = f"{LOGIN}:x:1000:1000:operator:/home/{LOGIN}:/bin/bash"
ACCOUNT_GROUP = f"{LOGIN}:x:1000:"
ACCOUNT_SHADOW = f"{LOGIN}:*:20000:0:99999:7:::"
MASKED = (
    "systemd-networkd.service", "systemd-networkd.socket", "systemd-resolved.service", "console-getty.service",
)  # fmt: skip
"""Addresses are set from outside, before boot; nobody sits at the console."""


def entries(guest: Guest, host_key: tuple[str, str], authorized: str, machine_id: str) -> Iterator[Entry]:
    """The files that make the image this one machine; keys are (private, public line)."""
    short = guest.name
    yield GuestFile("/etc/hostname", f"{short}\n")
    yield GuestFile("/etc/hosts", hosts(guest))
    yield GuestFile("/etc/machine-id", f"{machine_id}\n", 0o444)
    yield GuestFile("/etc/ssh/ssh_host_ed25519_key", host_key[0], 0o600)
    yield GuestFile("/etc/ssh/ssh_host_ed25519_key.pub", host_key[1])
    yield GuestFile("/etc/ssh/sshd_config.d/10-lab.conf", SSHD)
    yield GuestFile(f"/etc/sudoers.d/{LOGIN}", f"{LOGIN} ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440)
    yield GuestDirectory(f"/home/{LOGIN}", 0o755, "1000:1000")
    yield GuestDirectory(f"/home/{LOGIN}/.ssh", 0o700, "1000:1000")
    yield GuestFile(f"/home/{LOGIN}/.ssh/authorized_keys", authorized, 0o600, "1000:1000")
    for unit in MASKED:
        yield GuestLink(f"/etc/systemd/system/{unit}", "/dev/null")
    if guest.role == "node":
        yield GuestFile("/etc/resolv.conf", "# The resolver role writes this file.\n")
    else:
        yield GuestFile("/etc/resolv.conf", "nameserver 127.0.0.1\noptions edns0 trust-ad\n")


def hosts(guest: Guest) -> str:
    """Only the guest itself: other names come from the DNS, or a mistake there would stay hidden."""
    own = f"{guest.hostname} {guest.name}"
    return f"127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 {own}\n"


SSHD = """\
# As a provider's installation leaves it: keys only, and no root.
PermitRootLogin no
PasswordAuthentication no
HostKey /etc/ssh/ssh_host_ed25519_key
"""


def enabled(unit: str) -> GuestLink:
    """The link that makes a unit start at boot: systemd reads its name, and finds the unit itself."""
    return GuestLink(f"/etc/systemd/system/multi-user.target.wants/{unit}", f"../{unit}")
