"""Which servers are authoritative for a zone: those named by its parent and by itself, on all their addresses."""

import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.resolver

from mxfleet.errors import DnsError
from mxfleet.fleet.model import Fleet, Zone

NO_ROUTE_ERRORS = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
SECONDS = 3.0


@dataclass(frozen=True, slots=True, order=True)
class Authority:
    """One address of one authoritative server."""

    name: str
    address: str
    port: int = 53


class Lookup(Protocol):
    """Answers about names of servers and their addresses; never asked about a record of ours."""

    @property
    def port(self) -> int:
        """The port on which all the servers listen."""

    def values(self, name: str, kind: str) -> list[str]:
        """The values of a name and type as text; empty where there are none."""


@dataclass(frozen=True, slots=True)
class SystemLookup:
    """By the recursive resolver that this machine is set up with."""

    port: int = 53

    def values(self, name: str, kind: str) -> list[str]:
        """By recursion."""
        try:
            answer = dns.resolver.resolve(
                name, kind, search=False, lifetime=SECONDS, raise_on_no_answer=False
            )
        except (dns.resolver.NXDOMAIN, dns.resolver.NoNameservers, dns.exception.Timeout):
            return []
        return [rdata.to_text().rstrip(".").lower() for rdata in answer]


@dataclass(frozen=True, slots=True)
class DirectLookup:
    """One server that is authoritative for everything in question: a laboratory's."""

    server: str
    port: int = 53

    def values(self, name: str, kind: str) -> list[str]:
        """By one question to that server; a referral counts for NS."""
        return _ask_for(name, kind, self.server, self.port)


def lookup_for(fleet: Fleet, zone: Zone | None) -> Lookup:
    """A laboratory asks its own primary, which serves its root too; everybody else this machine's resolver."""
    if fleet.laboratory and zone and zone.provider.server:
        return DirectLookup(zone.provider.server, zone.provider.port)
    return SystemLookup()


def authorities(zone: str, lookup: Lookup) -> tuple[Authority, ...]:
    """Every address of every server that the parent or the zone itself names; raises DnsError where none is."""
    names = sorted({*lookup.values(zone, "NS"), *_named_by_parent(zone, lookup)})
    if not names:
        raise DnsError(f"no name servers of zone {zone} can be found", hint="is it delegated?")
    found: list[Authority] = []
    for name in names:
        addresses = [value for kind in ("A", "AAAA") for value in lookup.values(name, kind)]
        if not addresses:
            raise DnsError(f"{name}, a name server of zone {zone}, has no address")
        found += [Authority(name, address, lookup.port) for address in addresses]
    return tuple(found)


def is_delegated(name: str, servers: Iterable[Authority]) -> bool:
    """Whether the servers of the zone above refer to others for this name; asked directly, never of a resolver."""
    return any(_ask_for(name, "NS", server.address, server.port) for server in servers)


def enclosing_zone(name: str, lookup: Lookup) -> str:
    """The nearest name above, or the name itself, that has name servers; raises DnsError where none has."""
    labels = name.split(".")
    for depth in range(len(labels) - 1):
        if lookup.values(zone := ".".join(labels[depth:]), "NS"):
            return zone
    raise DnsError(f"{name} lies in no zone that can be found", hint="is it delegated?")


def _named_by_parent(zone: str, lookup: Lookup) -> list[str]:
    """The delegation as the first reachable server of the parent zone gives it."""
    for server in _parent_servers(zone, lookup):
        if names := _ask_for(zone, "NS", server, lookup.port):
            return names
    return []


def _parent_servers(zone: str, lookup: Lookup) -> Iterator[str]:
    labels = zone.split(".")
    for depth in range(1, len(labels)):
        if names := lookup.values(".".join(labels[depth:]), "NS"):
            for name in names:
                yield from (value for kind in ("A", "AAAA") for value in lookup.values(name, kind))
            return


def _ask_for(name: str, kind: str, server: str, port: int) -> list[str]:
    question = dns.message.make_query(name, kind, flags=0, use_edns=0, payload=1232)
    try:
        answer, _ = dns.query.udp_with_fallback(question, server, timeout=SECONDS, port=port)
    except (OSError, dns.exception.DNSException):
        return []
    owner, wanted = dns.name.from_text(name), dns.rdatatype.from_text(kind)
    return [
        rdata.to_text().rstrip(".").lower()
        for rrset in (*answer.answer, *answer.authority)
        for rdata in rrset
        if rrset.name == owner and rdata.rdtype == wanted
    ]
