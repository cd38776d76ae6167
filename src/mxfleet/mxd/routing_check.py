"""What is wrong about where mail goes, although the settings could be read: one line each."""

from collections.abc import Iterator

from mxfleet.errors import AddressError, SettingsError
from mxfleet.mail.address import parse_domain
from mxfleet.mxd.directory import Directory
from mxfleet.mxd.routing_settings import Routes, listed
from mxfleet.mxd.settings import DomainSettings, Settings


def routing_problems(parsed: Settings) -> Iterator[str]:
    """Next hops that cannot be used, relays that cannot be meant, forwards that nobody could bring back."""
    for domain in parsed.domain:
        yield from _domain_problems(domain)
    seen: set[str] = set()
    for relay in parsed.relay:
        called = f"[[relay]] {relay.name}"
        if not _is_pattern(relay.name):
            yield f"{called}: not a domain in lower-case A-labels, *.domain or *"
        if relay.name in seen:
            yield f"{called}: stands there twice"
        if any(domain.name == relay.name for domain in parsed.domain):
            yield f"{called}: is a domain of ours, whose route stands there"
        seen.add(relay.name)
        yield from _route_problems(called, relay.route)
    yield from _forwarding_problems(parsed)


def _domain_problems(domain: DomainSettings) -> Iterator[str]:
    called = f"[[domain]] {domain.name}"
    if domain.rewrite_to:
        if domain.recipients or domain.route or domain.aliases or domain.catch_all:
            yield f"{called}: is another name of {domain.rewrite_to}, and has recipients, aliases or a route of its own"
    elif not listed(domain.route):
        yield f"{called}: has no route"
    yield from _route_problems(called, domain.route)


def _route_problems(called: str, route: Routes | None) -> Iterator[str]:
    if route == ():
        yield f"{called}: has no next hop"
    for hop in listed(route):
        if hop.username and not hop.require_tls:
            yield f"{called}: {hop.host} has a username but not require_tls: a password needs TLS"
        if hop.username and not hop.password_file:
            yield f"{called}: {hop.host} has a username but no password_file"
    if len({hop.kind for hop in listed(route)}) > 1:
        yield f"{called}: next hops of both kinds, smtp and lmtp"


def _forwarding_problems(parsed: Settings) -> Iterator[str]:
    names = {domain.name for domain in parsed.domain}
    if parsed.forwarding is not None:
        if parsed.forwarding.domain not in names:
            yield f"forwarding.domain: {parsed.forwarding.domain} is no domain of ours: bounces would not come back"
        return
    try:
        directory = Directory.of(parsed)
    except (AddressError, SettingsError):
        return  # said elsewhere
    for elsewhere in directory.forwards():
        yield f"an alias leads to {elsewhere}, which is not ours: that needs [forwarding]"
        return


def _is_pattern(name: str) -> bool:
    if name == "*":
        return True
    try:
        return parse_domain(name.removeprefix("*.")) == name.removeprefix("*.")
    except AddressError:
        return False
