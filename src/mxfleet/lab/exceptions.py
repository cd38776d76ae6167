"""The closed list of what a node of the lab cannot do that a production host can, each with its reason.

Everything that is not in this list is deployed and checked in the lab exactly as in production. A check that
wants to skip something in the lab names an entry here; `tests/lab/test_exceptions.py` proves that each entry is
still true, so that none outlives its reason.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as in production: what, why, and what the lab does instead."""

    identifier: str
    what: str
    why: str
    instead: str


DIFFERENCES = (
    Difference(
        "clock",
        "no time daemon runs",
        "a container has the host's clock and no right to set it (CAP_SYS_TIME)",
        "the host's clock is that of all guests",
    ),
    Difference(
        "sysctl",
        "sysctls outside the network namespace cannot be set",
        "/proc/sys is read-only but for net.*, of which some belong to the whole kernel",
        "they are the host's; net.* of the namespace is set and read back as in production",
    ),
    Difference(
        "limits",
        "MemoryMax=, CPUQuota=, TasksMax= and IOWeight= have no effect",
        "on a hybrid hierarchy the version 2 tree has no controllers to delegate",
        "the units carry them all the same",
    ),
    Difference(
        "addresses-denied",
        "IPAddressDeny= and IPAddressAllow= have no effect",
        "they need BPF programs on control groups, which nspawn does not delegate",
        "the units carry them all the same; nftables works as in production",
    ),
    Difference(
        "packages",
        "apt reaches no archive: what a role installs is in the base image already, not started",
        "nothing in the lab leaves the machine",
        "a role that wants a package the image lacks fails, and the recipe is where it is added",
    ),
    Difference(
        "resolver",
        "unbound has other root hints, another root anchor, and answers test. and private reverse zones",
        "the lab's Internet has its own root, so that nothing asks the real one",
        "three settings of the fleet (Resolver), empty in production",
    ),
    Difference(
        "suffixes",
        "rspamd knows two public suffixes, not ten thousand",
        "the patterns of the real list cost 10 s of processor time and 200 MB when a node first starts",
        "a short list in the place of Debian's; rspamd reads it in the same way",
    ),
    Difference(
        "addressing",
        "eth0 has its addresses before boot, set from outside; there is no default route",
        "a machine's network is its provider's affair, and a way out of the lab must not exist",
        "networkd is masked; the service address is keepalived's as in production",
    ),
)
"""All of them."""

KERNEL_WIDE = (
    "net.core.rmem_",
    "net.core.wmem_",
    "net.core.netdev_",
    "net.core.bpf_",
    "net.netfilter.nf_conntrack_max",
)


def settable(sysctl: str) -> bool:
    """Whether a guest can set the sysctl: those of its network namespace, and no others."""
    return sysctl.startswith("net.") and not sysctl.startswith(KERNEL_WIDE)
