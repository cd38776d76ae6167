"""Which records a fleet wants, from the inventory and the ledger's view; pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from mxfleet.dns.families import Family, home_of, selector_name
from mxfleet.dns.records import address, by_name, mx, pointer, txt
from mxfleet.dns.transport_records import transport_records
from mxfleet.dns.wanted import Wanted
from mxfleet.fleet.model import Domain, Fleet
from mxfleet.keys.dkim import REVOKED_TEXT, record_text
from mxfleet.keys.lifecycle import ADVERTISED, WITHDRAWN
from mxfleet.keys.needs import server_names
from mxfleet.keys.state import KeyView, State


@dataclass(frozen=True, slots=True)
class Desired:
    """What each of the fleet's zones shall hold, and what belongs into zones that are not ours."""

    zones: tuple[tuple[str, tuple[Wanted, ...]], ...]
    elsewhere: tuple[Wanted, ...]


def desired(fleet: Fleet, state: State) -> Desired:
    """All wanted records, each in the fleet's zone that is nearest to its name."""
    zones: dict[str, list[Wanted]] = {zone.name: [] for zone in fleet.zones}
    elsewhere: list[Wanted] = []
    for wanted in all_wanted(fleet, state):
        zone = zone_of(wanted.record.name, zones)
        (elsewhere if zone is None else zones[zone]).append(wanted)
    return Desired(tuple((zone, _sorted(items)) for zone, items in zones.items()), _sorted(elsewhere))


def zone_of(name: str, zones: Collection[str]) -> str | None:
    """The longest of the zones that the name lies in."""
    labels = name.split(".")
    above = (".".join(labels[depth:]) for depth in range(len(labels)))
    return next((zone for zone in above if zone in zones), None)


def all_wanted(fleet: Fleet, state: State) -> Iterator[Wanted]:
    """Every record that the fleet wants, whatever zone it belongs into."""
    yield from _hosts(fleet)
    yield from _pointers(fleet)
    yield from transport_records(fleet, state)
    for domain in fleet.domains:
        yield from _parked(fleet, domain) if domain.parked else _mail_domain(fleet, domain)
    domains, zones = {domain.name for domain in fleet.domains}, {zone.name for zone in fleet.zones}
    for key in state.dkim():  # also of a domain that left the fleet, until its last mail is judged
        if key.owner in domains or zone_of(home_of(key), zones):
            yield from _dkim(fleet, key)


def sender_policy(fleet: Fleet, domain: Domain | None = None) -> bytes:
    """The SPF record of a sending domain: the nodes' own addresses, from which all mail leaves, need no lookup.

    They come first, so that most checks end before the terms that need one.

    Where DMARC is enforced it ends in `~all`: with `-all`, receivers that look at SPF alone refuse forwarded
    mail before they see its DKIM signature (RFC 7489 §10.1); DMARC refuses the forged mail.
    """
    terms = [f"ip{a.version}:{a}" for a in fleet.peer_addresses]
    terms += domain.also_send if domain else ()
    last = "-all" if fleet.policy.dmarc == "none" else "~all"
    return " ".join(["v=spf1", *terms, last]).encode("ascii")


def _hosts(fleet: Fleet) -> Iterator[Wanted]:
    ttl, domains = fleet.policy.record_ttl, {domain.name for domain in fleet.domains}
    nodes = {node.hostname: node.addresses for node in fleet.nodes}
    receiving = fleet.service.addresses if fleet.service else fleet.nodes[0].addresses
    for name in server_names(fleet):
        for value in nodes.get(name, receiving):
            yield Wanted(
                address(name, ttl, value), Family.ADDRESS, "node" if name in nodes else "service address"
            )
        if name in domains:  # the domain's own SPF record stands there
            continue
        if name in nodes:  # RFC 7208 §2.3: the EHLO name is an identity of its own
            yield Wanted(txt(name, ttl, b"v=spf1 a -all"), Family.SPF, "EHLO name of a node")
        else:
            yield Wanted(txt(name, ttl, b"v=spf1 -all"), Family.SPF, "this name never sends")


def _pointers(fleet: Fleet) -> Iterator[Wanted]:
    ttl = fleet.policy.record_ttl
    for node in fleet.nodes:
        for value in node.addresses:
            yield Wanted(pointer(value, ttl, node.hostname), Family.PTR, f"PTR and EHLO of {node.name} agree")
    if fleet.service:
        for value in fleet.service.addresses:
            yield Wanted(pointer(value, ttl, fleet.service.hostname), Family.PTR, "service address")


def _mail_domain(fleet: Fleet, domain: Domain) -> Iterator[Wanted]:
    name, ttl = domain.name, fleet.policy.record_ttl
    yield Wanted(mx(name, ttl, 10, fleet.mx_hostname), Family.MX, "preferred exchange")
    for node in fleet.nodes if fleet.service else ():
        yield Wanted(
            mx(name, ttl, 20, node.hostname), Family.MX, "each node, should the service address fail"
        )
    yield Wanted(txt(name, ttl, sender_policy(fleet, domain)), Family.SPF, "mail leaves from the nodes")
    policy = f"v=DMARC1; p={fleet.policy.dmarc}{_reports(fleet)}".encode(
        "ascii"
    )  # RFC 9989 §4.7; pct is gone
    yield Wanted(txt(f"_dmarc.{name}", ttl, policy), Family.DMARC, "what is unaligned is not ours")


def _parked(fleet: Fleet, domain: Domain) -> Iterator[Wanted]:
    name, ttl = domain.name, fleet.policy.record_ttl
    reject = f"v=DMARC1; p=reject; sp=reject; np=reject{_reports(fleet)}".encode("ascii")
    yield Wanted(mx(name, ttl, 0, ""), Family.MX, "parked: takes no mail (RFC 7505)")
    yield Wanted(txt(name, ttl, b"v=spf1 -all"), Family.SPF, "parked: sends no mail")
    yield Wanted(txt(f"_dmarc.{name}", ttl, reject), Family.DMARC, "parked: sends no mail")
    yield Wanted(txt(f"*._domainkey.{name}", ttl, REVOKED_TEXT), Family.DKIM, "parked: no key signs for it")


def _reports(fleet: Fleet) -> str:
    return f"; rua=mailto:{fleet.policy.reports}" if fleet.policy.reports else ""


def _dkim(fleet: Fleet, key: KeyView) -> Iterator[Wanted]:
    name, ttl = selector_name(key.owner, key.label), fleet.policy.keys.ttl
    if key.state in ADVERTISED:
        text = record_text(key.algorithm, key.public)
        yield Wanted(txt(name, ttl, text), Family.DKIM, f"{key.algorithm} key, {key.state}")
    elif key.state in WITHDRAWN:
        yield Wanted(txt(name, ttl, REVOKED_TEXT), Family.DKIM, f"{key.algorithm} key, {key.state}")


def _sorted(items: list[Wanted]) -> tuple[Wanted, ...]:
    place = {record.identity: n for n, record in enumerate(by_name(item.record for item in items))}
    return tuple(sorted(items, key=lambda item: place[item.record.identity]))
