"""What a lab consists of, as a value: guests, addresses and names, derived from the fleet; nothing is touched."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from mxfleet.errors import LabError
from mxfleet.fleet import Address, Cloudflare, Fleet, Lmtp, Node, Rfc2136
from mxfleet.lab import neighbours

PREFIX = "mxlab-"
"""Begins the name of every namespace, machine and interface of the lab on the host, so that `down` finds all."""
NETWORK4 = IPv4Network("10.77.0.0/24")
NETWORK6 = IPv6Network("fd77:77::/64")
OPERATOR4 = IPv4Address("10.77.0.1")
OPERATOR6 = IPv6Address("fd77:77::1")
WORLD4, WORLD6 = IPv4Address("10.77.0.100"), IPv6Address("fd77:77::100")
SECONDARY4, SECONDARY6 = IPv4Address("10.77.0.101"), IPv6Address("fd77:77::101")
OFFICE4, OFFICE6 = IPv4Address("10.77.0.110"), IPv6Address("fd77:77::110")
PEER_DOMAIN = "peer.test"
REVERSE4, REVERSE6 = "0.77.10.in-addr.arpa", "7.7.0.0.7.7.d.f.ip6.arpa"
BLOCKLIST = "dnsbl.test"
CLOUDFLARE_HERE = re.compile(r"http://127\.0\.0\.1:[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Guest:
    """One machine of the lab: `role` is `node`, `world` or `office`; `addresses` are set on eth0 before boot."""

    name: str
    role: str
    hostname: str
    addresses: tuple[Address, ...]

    @property
    def hardware(self) -> str:
        """A locally administered Ethernet address made of the IPv4 address, the same in every lab."""
        octets = self.addresses[0].packed
        return "02:77:" + ":".join(f"{octet:02x}" for octet in octets)

    @property
    def machine(self) -> str:
        """The guest's name on the host: namespace, machine and control group."""
        return PREFIX + self.name

    @property
    def image(self) -> str:
        """Which base image it boots from."""
        return "node" if self.role == "node" else "internet"


@dataclass(frozen=True, slots=True)
class Plan:
    """All guests of one lab, and what its DNS and mailbox server serve for the fleet.

    `cloudflare` are the zones whose provider is Cloudflare, `cloudflare_address` where the fleet asks for its API.
    """

    fleet: str
    guests: tuple[Guest, ...]
    service: tuple[Address, ...]
    zones: tuple[str, ...]
    mailboxes: tuple[str, ...]
    office_hosts: tuple[str, ...]
    key_name: str = "mxfleet."
    algorithm: str = "hmac-sha256"
    cloudflare: tuple[str, ...] = ()
    cloudflare_address: str = ""

    @property
    def nodes(self) -> tuple[Guest, ...]:
        """The guests that the fleet's nodes are."""
        return tuple(guest for guest in self.guests if guest.role == "node")


def plan_for(fleet: Fleet) -> Plan:
    """The lab that the fleet's nodes boot into; raises LabError where the fleet is not one for a lab."""
    if not fleet.laboratory:
        raise LabError(
            f"fleet {fleet.name!r} is not a laboratory: its addresses belong to real hosts",
            hint="mxfleet lab up --fleet inventories/lab.py",
        )
    key_name, algorithm = _key(fleet)
    office_hosts = _office_hosts(fleet)
    cloudflare, address = _cloudflare(fleet)
    return Plan(
        fleet=fleet.name,
        guests=(*map(_node, fleet.nodes), _world(), _office()),
        service=fleet.service.addresses if fleet.service else (),
        zones=tuple(zone.name for zone in fleet.zones),
        mailboxes=_mailboxes(fleet, office_hosts),
        office_hosts=office_hosts,
        key_name=key_name,
        algorithm=algorithm,
        cloudflare=cloudflare,
        cloudflare_address=address,
    )


def _node(node: Node) -> Guest:
    for address in node.addresses:
        if address not in NETWORK4 and address not in NETWORK6:
            raise LabError(
                f"node {node.name}: {address} is not in the lab's networks {NETWORK4} and {NETWORK6}",
                hint="give the laboratory fleet addresses from them",
            )
        if address in (
            OPERATOR4,
            OPERATOR6,
            WORLD4,
            WORLD6,
            SECONDARY4,
            SECONDARY6,
            OFFICE4,
            OFFICE6,
            *neighbours.ADDRESSES,
            neighbours.GONE6,
        ):
            raise LabError(
                f"node {node.name}: {address} is taken by the lab itself", hint="use .11 to .99, for example"
            )
    if node.name in ("world", "office", "switch") or len(node.name) > 9:
        raise LabError(
            f"node {node.name}: the lab cannot name a guest so", hint="use another name of up to nine letters"
        )
    return Guest(node.name, "node", node.hostname, node.addresses)


def _world() -> Guest:
    addresses: tuple[Address, ...] = (WORLD4, WORLD6, SECONDARY4, SECONDARY6, *neighbours.ADDRESSES)
    return Guest("world", "world", f"mx.{PEER_DOMAIN}", addresses)


def _office() -> Guest:
    return Guest("office", "office", "office.corp.test", (OFFICE4, OFFICE6))


def _key(fleet: Fleet) -> tuple[str, str]:
    for zone in fleet.zones:
        if isinstance(zone.provider, Rfc2136):
            return zone.provider.key_name, zone.provider.algorithm
    return "mxfleet.", "hmac-sha256"


def _cloudflare(fleet: Fleet) -> tuple[tuple[str, ...], str]:
    """The zones at Cloudflare, which must all be at one address of this machine: a lab changes no real zone."""
    zones = [zone for zone in fleet.zones if isinstance(zone.provider, Cloudflare)]
    addresses = {zone.provider.address for zone in zones if isinstance(zone.provider, Cloudflare)}
    wrong = [address for address in addresses if not CLOUDFLARE_HERE.fullmatch(address)]
    if wrong or len(addresses) > 1:
        raise LabError(
            f"zones {', '.join(zone.name for zone in zones)}: a laboratory's Cloudflare is one address of this machine",
            hint='Cloudflare(address="http://127.0.0.1:7053", …)',
        )
    return tuple(zone.name for zone in zones), next(iter(addresses), "")


def _office_hosts(fleet: Fleet) -> tuple[str, ...]:
    """The host names under which the fleet reaches its mailbox server: all of them are `office`."""
    hosts = {hop.host for domain in fleet.domains for hop in domain.next_hops if isinstance(hop, Lmtp)}
    return tuple(sorted(hosts | {"office.corp.test"}))


def _mailboxes(fleet: Fleet, office_hosts: tuple[str, ...]) -> tuple[str, ...]:
    """Each address that `office` keeps mail for, then the accounts that have no mailbox of their own."""
    kept = [
        f"{local_part}@{domain.name}"
        for domain in fleet.domains
        if any(isinstance(hop, Lmtp) and hop.host in office_hosts for hop in domain.next_hops)
        for local_part in domain.recipients
    ]
    return tuple(dict.fromkeys([*kept, *(account.address for account in fleet.accounts)]))


def guests_of(facts: Mapping[str, Any]) -> tuple[Guest, ...]:
    """The guests of a running lab, from the facts in its record."""
    guests = []
    for name, guest in facts["guests"].items():
        addresses = tuple(ip_address(address) for address in guest["addresses"])
        guests.append(Guest(name, guest["role"], guest["hostname"], addresses))
    return tuple(guests)


def guest_of(facts: Mapping[str, Any], name: str) -> Guest:
    """The running lab's guest of that name; raises LabError with the names that exist."""
    for guest in guests_of(facts):
        if guest.name == name:
            return guest
    raise LabError(f"the lab has no guest {name!r}", hint=f"its guests are {', '.join(facts['guests'])}")
