"""What is wrong about where a fleet's mail goes: next hops, relays, aliases, forwarding."""

from collections.abc import Iterator

from mxfleet.errors import AddressError
from mxfleet.fleet.model import Domain, Fleet
from mxfleet.fleet.names import LOCAL_PART, Problem, all_hostnames, is_address, is_hostname, twice
from mxfleet.fleet.routes import Routes, Smtp, next_hops
from mxfleet.mail import aliases as names
from mxfleet.mail.address import Mailbox, parse_mailbox
from mxfleet.mail.aliases import Names, key_of


def routes(fleet: Fleet) -> Iterator[Problem]:
    """Next hops that can be used: no password travels unprotected, and no route leads back to the fleet."""
    for domain in fleet.domains:
        yield from _next_hops(fleet, f"domain {domain.name}", domain.route)


def relays(fleet: Fleet) -> Iterator[Problem]:
    """Routes of domains that are not the fleet's."""
    own = {domain.name for domain in fleet.domains}
    yield from twice("relay", [relay.name for relay in fleet.relays])
    for relay in fleet.relays:
        if relay.name != "*" and not is_hostname(relay.name.removeprefix("*.")):
            yield (
                f"relay {relay.name!r} is not a domain, *.domain or *",
                "write partner.example, *.partner.example, or * for every other domain",
            )
        if relay.name in own:
            yield (f"relay {relay.name} is a domain of this fleet", "its route stands in its Domain(...)")
        if not next_hops(relay.route):
            yield f"relay {relay.name} has no next hop", "give it Smtp(...), or take it away"
        yield from _next_hops(fleet, f"relay {relay.name}", relay.route)


def aliases(fleet: Fleet) -> Iterator[Problem]:
    """Aliases are local parts and lead to somebody; other names of a domain are nothing but that."""
    by_name = {domain.name: domain for domain in fleet.domains if not domain.parked}
    known = {name: _names(domain) for name, domain in by_name.items()}
    for domain in fleet.domains:
        if domain.rewrite_to:
            yield from _other_name(domain, by_name)
            continue
        if len(domain.separator) > 1 or domain.separator in ("@", "."):
            yield (
                f"domain {domain.name}: separator {domain.separator!r} is not one character",
                "e.g. separator='+'",
            )
        for alias, targets in domain.aliases.items():
            if not LOCAL_PART.match(alias):
                yield (
                    f"domain {domain.name}: alias {alias!r} is not a local part",
                    "write the part before the @",
                )
            if not isinstance(targets, tuple):
                yield (
                    f"domain {domain.name}: alias {alias} has {targets!r}",
                    "write a tuple: ('alice', 'bob@example.org')",
                )
                return
        for target in (*(t for targets in domain.aliases.values() for t in targets), *domain.catch_all):
            if not (LOCAL_PART.match(target) or is_address(target)):
                yield (
                    f"domain {domain.name}: alias target {target!r} is not an address",
                    "e.g. bob, or bob@example.org",
                )
                return
        if domain.name in known:
            yield from _leading_nowhere(domain, known)


def forwarding(fleet: Fleet) -> Iterator[Problem]:
    """Who forwards needs a domain of his own in the reverse-path."""
    own = {domain.name for domain in fleet.domains if not domain.parked and not domain.rewrite_to}
    if fleet.forwarding is not None:
        if fleet.forwarding.domain not in own:
            yield (
                f"forwarding.domain {fleet.forwarding.domain} is not a receiving domain of this fleet",
                "bounces of forwarded mail come back to it",
            )
        if not 7 <= fleet.forwarding.days <= 365:
            yield (
                f"forwarding.days {fleet.forwarding.days} is not 7 to 365",
                "hosts keep mail for up to a week",
            )
        return
    for domain in fleet.domains:
        for target in (*(t for targets in domain.aliases.values() for t in targets), *domain.catch_all):
            elsewhere = target.rpartition("@")[2] if "@" in target else domain.name
            if not any(elsewhere == name or _is_below(elsewhere, name, fleet) for name in own):
                yield (
                    f"domain {domain.name}: mail is forwarded to {target}, and the fleet has no forwarding",
                    f"forwarding=Forwarding(domain='{domain.name}') rewrites the reverse-path, so that SPF passes",
                )
                return


def _next_hops(fleet: Fleet, called: str, route: Routes | None) -> Iterator[Problem]:
    own = set(all_hostnames(fleet)) | {str(address) for address in fleet.peer_addresses}
    hops = next_hops(route)
    for hop in hops:
        if not 1 <= hop.port <= 65535:
            yield f"{called}: route port {hop.port} is not 1 to 65535", "LMTP is often 24, SMTP 25"
        if isinstance(hop, Smtp) and hop.username and not hop.require_tls:
            yield f"{called}: its next hop has a username but not require_tls", "a password needs TLS"
        elif isinstance(hop, Smtp) and bool(hop.username) != bool(hop.password):
            yield f"{called}: its next hop has a username or a password, and not both", "AUTH needs both"
        if hop.host in own:
            yield f"{called}: its route {hop.host} is this fleet: mail would loop", "name the mailbox server"
    if len({type(hop) for hop in hops}) > 1:
        yield f"{called}: next hops of both kinds, Lmtp and Smtp", "a delivery speaks one or the other"
    yield from twice(f"next hop of {called}", [f"{hop.host}:{hop.port}" for hop in hops])


def _other_name(domain: Domain, by_name: dict[str, Domain]) -> Iterator[Problem]:
    if domain.parked or domain.recipients or domain.route or domain.aliases or domain.catch_all:
        yield (
            f"domain {domain.name} is another name of {domain.rewrite_to}, and has something of its own",
            "it has rewrite_to, or recipients, aliases and a route",
        )
    target = by_name.get(domain.rewrite_to)
    if target is None or target.rewrite_to:
        yield (
            f"domain {domain.name}: rewrite_to {domain.rewrite_to} is no receiving domain of this fleet",
            "name one that has recipients",
        )


def _names(domain: Domain) -> Names:
    def mailboxes(targets: tuple[str, ...]) -> tuple[Mailbox, ...]:
        texts = (t if "@" in t else f"{t}@{domain.name}" for t in targets)
        return tuple(mailbox for mailbox in map(_mailbox, texts) if mailbox is not None)

    return Names(
        mailboxes=frozenset(map(key_of, domain.recipients)),
        aliases={key_of(alias): mailboxes(targets) for alias, targets in domain.aliases.items()},
        catch_all=mailboxes(domain.catch_all),
        separator=domain.separator,
        rewrite_to=domain.rewrite_to,
    )


def _mailbox(text: str) -> Mailbox | None:
    try:
        return parse_mailbox(text)
    except AddressError:
        return None


def _leading_nowhere(domain: Domain, known: dict[str, Names]) -> Iterator[Problem]:
    for alias in domain.aliases:
        found = names.resolve(Mailbox(alias, domain.name), known)
        called = f"alias {alias}@{domain.name}"
        for target in found.nowhere:
            yield f"{called}: {target} is nobody's mailbox here", "list it among the recipients of its domain"
        if found.circles:
            yield f"{called}: leads in a circle by {found.circles[0]}", "let it lead to a mailbox"
        if found.too_many:
            yield (
                f"{called}: leads to more than {names.MAX_DESTINATIONS} others",
                "that is a mailing list's task",
            )
        mailbox = Mailbox(alias, domain.name)
        if alias in domain.recipients and all(d.owner != mailbox for d in found.destinations):
            yield (
                f"{called}: is a recipient too, whose mailbox would get nothing",
                f"let the alias name itself among its targets ('{alias}'), or take the recipient away",
            )


def _is_below(domain: str, name: str, fleet: Fleet) -> bool:
    return domain.endswith(f".{name}") and any(d.name == name and d.subdomains for d in fleet.domains)
