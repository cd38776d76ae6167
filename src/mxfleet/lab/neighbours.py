"""The Internet's other mail hosts on `world`: difficult ones, and the policies of those that have some; values.

Each difficult host `mx.LABEL.peer.test` has an address of its own and takes the mail of `LABEL.peer.test`
(`difficult_peers.py` is what runs there). `sts.peer.test` is Postfix under another name, without TLSA.
"""

import json
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, IPv6Address

from mxfleet.lab.difficult_peers import Host

DOMAIN = "peer.test"
KEEP = "/var/mail/difficult"
DIRECTORY = "/etc/mxlab-peers"
GONE6 = IPv6Address("fd77:77::129")
"""Nobody has it: a host with this address and a good one of IPv4 is slow to reach for who tries one after the other."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A difficult host; `certificate` is the name of what it shows, `policy` the mode of its domain's MTA-STS."""

    label: str
    address4: IPv4Address
    behaviour: str = ""
    certificate: str = "difficult"
    policy: str = ""
    tlsa: str = ""
    address6: IPv6Address | None = None

    @property
    def domain(self) -> str:
        """Whose mail it takes."""
        return f"{self.label}.{DOMAIN}"

    @property
    def hostname(self) -> str:
        """Its own name."""
        return f"mx.{self.domain}"


NEIGHBOURS = (
    Neighbour("busy", IPv4Address("10.77.0.121"), "busy"),
    Neighbour("firm", IPv4Address("10.77.0.122"), "firm"),
    Neighbour("grey", IPv4Address("10.77.0.123"), "grey"),
    Neighbour("drops", IPv4Address("10.77.0.124"), "drops"),
    Neighbour("garbled", IPv4Address("10.77.0.125"), "garbled", certificate=""),
    Neighbour("pinned", IPv4Address("10.77.0.126"), tlsa="elsewhere"),
    Neighbour("strict", IPv4Address("10.77.0.127"), certificate="elsewhere", policy="enforce"),
    Neighbour("loose", IPv4Address("10.77.0.128"), certificate="elsewhere"),
    Neighbour("twofold", IPv4Address("10.77.0.129"), address6=GONE6),
    Neighbour("trial", IPv4Address("10.77.0.130"), certificate="elsewhere", policy="testing"),
    Neighbour("silent", IPv4Address("10.77.0.131"), "silent"),
)
ADDRESSES = tuple(neighbour.address4 for neighbour in NEIGHBOURS)

POLICIES = {
    DOMAIN: ("enforce", f"mx.{DOMAIN}"),
    f"sts.{DOMAIN}": ("enforce", f"relay.{DOMAIN}"),
} | {one.domain: (one.policy, one.hostname) for one in NEIGHBOURS if one.policy}
"""Mode and host of each domain's MTA-STS policy, served at `mta-sts.<domain>`."""

CERTIFICATES = {
    "difficult": tuple(one.hostname for one in NEIGHBOURS if one.certificate == "difficult"),
    "elsewhere": ("elsewhere.test",),
    "web": tuple(f"mta-sts.{domain}" for domain in POLICIES),
}
"""Whom each certificate of the lab's authority is for, by its name in the credentials."""


def hosts() -> str:
    """What `difficult_peers.py` reads."""
    return json.dumps([_plain(one) for one in NEIGHBOURS], indent=1) + "\n"


def _plain(one: Neighbour) -> dict[str, object]:
    name = one.certificate
    chain, key = (f"{DIRECTORY}/{name}.pem", f"{DIRECTORY}/{name}.key") if name else ("", "")
    made = Host(one.hostname, str(one.address4), one.behaviour, chain, key, KEEP)
    return {field: value for field, value in asdict(made).items() if field not in ("seen", "taken")}
