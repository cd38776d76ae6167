"""Where mail for a domain goes: a configured next hop, or the MX hosts that the DNS names (RFC 5321 §5.1)."""

import random
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, Literal, Protocol

import msgspec

from mxfleet.errors import AddressError, ServiceError
from mxfleet.mail.address import parse_domain
from mxfleet.mail.reply import Reply
from mxfleet.mxd.listener import plain_address
from mxfleet.mxd.routing_settings import Routes, RouteSettings, listed
from mxfleet.mxd.set_aside import SetAside
from mxfleet.mxd.settings import Settings
from mxfleet.mxd.wildcards import Wildcards

NULL_MX: Final = Reply(556, "5.1.10", "The domain accepts no mail (null MX)")  # RFC 7505 §4.1
NO_DOMAIN: Final = Reply(550, "5.1.2", "The domain does not exist")
NO_HOST: Final = Reply(550, "5.4.4", "The domain has no mail host and no address")
LOOP: Final = Reply(554, "5.4.6", "The best mail host of the domain is this one, which does not know it")
NO_HOP: Final = Reply(451, "4.3.5", "It was re-routed to something that is not a host and a port")
DNS_TROUBLE: Final = Reply(451, "4.4.3", "The DNS gave no answer")

Family = Literal[4, 6]


class Hop(msgspec.Struct, frozen=True):
    """One host to try; `password` shows in no repr because it is not printed with the rest."""

    host: str
    port: int
    protocol: Literal["smtp", "lmtp"] = "smtp"
    tls: Literal["none", "opportunistic", "required"] = "opportunistic"
    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Hop({self.host}:{self.port} {self.protocol})"


class Place(msgspec.Struct, frozen=True):
    """Where one delivery goes: what its attempts are limited by, the hosts in order, or why it cannot go.

    `ours` says that the domain is one that we receive for, `given` that settings or the operator named the hosts and
    no MX record: then they are taken at their word, and what the domain publishes about TLS is not asked for.
    """

    key: str
    hops: tuple[Hop, ...] = ()
    refusal: Reply | None = None
    ours: bool = False
    given: bool = False


class Unroutable(Exception):
    """A domain that no mail can go to, now (4yz) or ever (5yz)."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class Dns(Protocol):
    """The questions that routing asks; Unroutable where the DNS itself fails."""

    async def mx(self, domain: str) -> Sequence[tuple[int, str]]:
        """Preference and host of each MX record; none if there are none; Unroutable for NXDOMAIN."""

    async def addresses(self, host: str) -> Sequence[str]:
        """IPv6 and IPv4 addresses of a host, none if it has none."""


class Router:
    """Decides for one node: its routes, its own names and addresses."""

    def __init__(self, settings: Settings, dns: Dns, passwords: Mapping[str, str]) -> None:
        """`passwords` are those of next hops, by the file that each is in."""
        self._dns = dns
        self._port = settings.delivery.port
        self._chance = random.Random()  # noqa: S311 - only spreads load
        own = {name: d.route for d in settings.domain for name in d.names}
        others = {relay.name: relay.route for relay in settings.relay}
        self._ours = Wildcards(dict.fromkeys(own, True))
        self._routes = Wildcards(
            {name: _next_hops(route, passwords) for name, route in {**others, **own}.items() if route}
        )
        self._set_aside = SetAside(settings.delivery.set_aside)
        node = settings.node
        addresses = {node.address4, node.address6, *settings.service.peers}
        addresses |= {a for certificate in settings.certificate for a in certificate.addresses}
        self._own_addresses = {plain_address(address) for address in addresses if address}
        self._on_loopback = ip_address(node.address4).is_loopback
        self._own_names = {node.hostname, settings.service.hostname, *settings.service.names}

    def configured(self, domain: str, hop: str = "") -> Place | None:
        """The place that settings or the operator (`hop`, host:port) give; None where the DNS is to be asked."""
        ours = self._ours.get(domain) is not None
        if hop:
            try:
                return Place(hop, (given(hop),), ours=ours, given=True)
            except ServiceError:  # no door lets one in
                return Place(hop, refusal=NO_HOP, ours=ours, given=True)
        found = self._routes.get(domain)
        if found is None:
            return None
        key = ",".join(f"{hop.host}:{hop.port}" for _, hop in found)
        mixed = self._chance.sample(found, len(found)) if len(found) > 1 else found
        hops = tuple(hop for _, hop in sorted(mixed, key=lambda one: one[0]))
        return Place(key, hops, ours=ours, given=True)

    async def place(self, domain: str, hop: str = "") -> Place:
        """Where a delivery goes; domains whose best hosts are the same have the same key."""
        found = self.configured(domain, hop)
        if found is not None:
            return found
        try:
            hops, best = await self._by_dns(domain)
        except Unroutable as error:
            return Place(f"{domain} (no route)", refusal=error.reply)
        return Place(",".join(sorted(best)), tuple(hops))

    async def _by_dns(self, domain: str) -> tuple[list[Hop], set[str]]:
        if domain.startswith("["):  # RFC 5321 §4.1.3, an address literal
            host = domain[1:-1].removeprefix("IPv6:")
            return [Hop(host, self._port)], {host}
        records = await self._dns.mx(domain)
        if not records:
            return [Hop(domain, self._port)], {domain}
        hosts = order(records, self._own_names, random.SystemRandom())
        preferences = {host.rstrip(".").lower(): preference for preference, host in sorted(records)[::-1]}
        best = {host for host in hosts if preferences[host] == preferences[hosts[0]]}
        return [Hop(host, self._port) for host in hosts], best

    async def hops(self, domain: str) -> list[Hop]:
        """The hosts to try, in order; raises Unroutable."""
        place = await self.place(domain)
        if place.refusal is not None:
            raise Unroutable(place.refusal)
        return list(place.hops)

    def in_order(self, hops: Sequence[Hop]) -> list[Hop]:
        """The hosts to try now: those that failed a while ago come last, and are asked only if no other answers."""
        return self._set_aside.last(hops, time.monotonic())

    def learn(self, hop: Hop, *, works: bool) -> float:
        """Keep in mind what became of an attempt; seconds for which the hop is set aside from now on, else 0."""
        return self._set_aside.learn(hop, works, time.monotonic())

    async def addresses(self, hop: Hop) -> list[str]:
        """The addresses of a hop, in the order to try them."""
        return [hop.host] if is_address(hop.host) else list(await self._dns.addresses(hop.host))

    def foreign(self, addresses: Sequence[str]) -> list[str]:
        """Those that are not this fleet's own."""
        return [address for address in addresses if not self._is_ours(address)]

    def _is_ours(self, address: str) -> bool:
        """Ours, or whoever's it is when anybody asks: an MX host at 127.0.0.1 or :: would be ourselves."""
        found = ip_address(address)
        if found.is_unspecified or found.is_multicast or (found.is_loopback and not self._on_loopback):
            return True
        return plain_address(address) in self._own_addresses


def order(records: Sequence[tuple[int, str]], own_names: set[str], chance: random.Random) -> list[str]:
    """MX hosts by preference, shuffled among equals; raises Unroutable for a null MX or a loop.

    RFC 5321 §5.1: if we are one of them, those that are not preferred to us are left out.
    """
    names = [(preference, host.rstrip(".").lower()) for preference, host in records]
    if any(not host for _, host in names):  # RFC 7505 §3
        if len(names) == 1:
            raise Unroutable(NULL_MX)
        names = [(preference, host) for preference, host in names if host]
    ours = min((preference for preference, host in names if host in own_names), default=None)
    if ours is not None:
        names = [(preference, host) for preference, host in names if preference < ours]
        if not names:
            raise Unroutable(LOOP)
    shuffled = chance.sample(names, len(names))
    return list(dict.fromkeys(host for _, host in sorted(shuffled, key=lambda record: record[0])))


def given(text: str) -> Hop:
    """The next hop that an operator names: `mx.example.org:25`, `192.0.2.1:25`, `[2001:db8::1]:25`; ServiceError else."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536):
            raise AddressError(f"{port!r} is no port")
        return Hop(host if is_address(host) else parse_domain(host), int(port))
    except AddressError as error:
        hint = "mx.example.org:25, 192.0.2.1:25 or [2001:db8::1]:25"
        raise ServiceError(f"re-route to {text!r}: not a host and a port", hint=hint) from error


@lru_cache(maxsize=4096)  # asked for each attempt, and always of the same hosts
def is_address(host: str) -> bool:
    """Whether a next hop is given as an IP address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _next_hops(route: Routes, passwords: Mapping[str, str]) -> tuple[tuple[int, Hop], ...]:
    """Each with its priority, as they were written."""
    return tuple((one.priority, _next_hop(one, passwords)) for one in listed(route))


def _next_hop(route: RouteSettings, passwords: Mapping[str, str]) -> Hop:
    return Hop(
        host=route.host,
        port=route.port,
        protocol=route.kind,
        tls="required" if route.require_tls else "opportunistic",
        username=route.username,
        password=passwords.get(route.password_file, ""),
    )
