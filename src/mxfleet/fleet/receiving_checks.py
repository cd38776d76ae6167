"""What makes a fleet's rules for mail from elsewhere wrong; in the manner of checks.py."""

from collections.abc import Iterator

from mxfleet.fleet.limits_checks import wrong_limits
from mxfleet.fleet.model import Fleet
from mxfleet.fleet.names import Problem, is_hostname
from mxfleet.fleet.receiving import MEBIBYTE, VALUES, Greylist, Receiving, Rspamd

MOST_SCORE = 1000.0
LEAST_MEMORY = 256 * MEBIBYTE
LEAST_CACHE = 8 * MEBIBYTE


def receiving(fleet: Fleet) -> Iterator[Problem]:
    """Words that mean something, names that are names, and rules that are not written for nothing."""
    yield from _rules(fleet.policy.receiving, "policy.receiving")
    for domain in fleet.domains:
        if domain.receiving is None:
            continue
        yield from _rules(domain.receiving, f"domain {domain.name}: receiving")
        if domain.parked:
            yield (
                f"domain {domain.name} is parked and has rules for mail it never gets",
                "take receiving away",
            )
        if not fleet.policy.evidence:
            yield (
                f"domain {domain.name}: receiving has no effect, since policy.evidence is off",
                "take one of them away",
            )
    for zone in fleet.policy.dns_lists:
        if not is_hostname(zone):
            yield (
                f"policy.dns_lists: {zone!r} is not a domain name in lower-case A-labels",
                "e.g. zen.spamhaus.org",
            )
    if fleet.policy.dns_lists and not fleet.policy.evidence:
        yield "policy.dns_lists are never asked, since policy.evidence is off", "take one of them away"
    yield from wrong_limits(fleet.policy.limits)
    yield from _greylist(fleet.policy.greylist)
    yield from _call_ahead(fleet)
    if fleet.policy.rspamd is not None:
        yield from _rspamd(fleet.policy.rspamd)


def _rules(rules: Receiving, where: str) -> Iterator[Problem]:
    for name, allowed in VALUES.items():
        found = getattr(rules, name)
        if found not in allowed:
            yield f"{where}.{name} {found!r} is not {' or '.join(allowed)}", "see docs/operating.md"
    for name in ("exempt_authors", "sealers"):
        for domain in getattr(rules, name):
            if not is_hostname(domain):
                yield (
                    f"{where}.{name}: {domain!r} is not a domain name in lower-case A-labels",
                    "e.g. example.org",
                )
    for network in rules.exempt_networks:
        if network.prefixlen == 0:
            yield (
                f"{where}.exempt_networks has {network}: nothing would ever be refused",
                "name the networks you trust",
            )


def _greylist(greylist: Greylist) -> Iterator[Problem]:
    if greylist.sender not in ("domain", "address"):
        yield f"policy.greylist.sender {greylist.sender!r} is not domain or address", "see docs/operating.md"
    if not 0 < greylist.delay < greylist.window < greylist.lifetime:
        periods = f"delay {greylist.delay:g}, window {greylist.window:g} and lifetime {greylist.lifetime:g}"
        yield f"policy.greylist: {periods} are not in order", "0 < delay < window < lifetime"


def _call_ahead(fleet: Fleet) -> Iterator[Problem]:
    given = fleet.policy.call_ahead
    if given.unreachable not in ("defer", "accept"):
        yield (
            f"policy.call_ahead.unreachable {given.unreachable!r} is not defer or accept",
            "see docs/operating.md",
        )
    if not 1 <= given.timeout <= 60:
        yield f"policy.call_ahead.timeout {given.timeout:g} is not 1 to 60 s", "clients wait for the answer"
    for domain in fleet.domains:
        if domain.call_ahead and (domain.parked or domain.rewrite_to or domain.catch_all):
            yield (
                f"domain {domain.name} has call_ahead, and nobody is left to ask the next hop about",
                "take call_ahead away",
            )


def _rspamd(rspamd: Rspamd) -> Iterator[Problem]:
    if rspamd.unreachable not in ("accept", "defer"):
        yield (
            f"policy.rspamd.unreachable {rspamd.unreachable!r} is not accept or defer",
            "see docs/operating.md",
        )
    if not 1 <= rspamd.timeout <= 60:
        yield f"policy.rspamd.timeout {rspamd.timeout} is not 1 to 60 s", "clients wait for the answer"
    if not 0 < rspamd.mark <= rspamd.reject <= MOST_SCORE:
        yield (
            f"policy.rspamd: mark {rspamd.mark:g} and reject {rspamd.reject:g} are not in order",
            f"0 < mark ≤ reject ≤ {MOST_SCORE:g}",
        )
    if not 1 <= rspamd.workers <= 64:
        yield f"policy.rspamd.workers {rspamd.workers} is not 1 to 64", "one per core is plenty"
    if rspamd.memory < LEAST_MEMORY or rspamd.cache < LEAST_CACHE:
        yield (
            f"policy.rspamd: memory {rspamd.memory} and cache {rspamd.cache} are too little to run in",
            f"at least {LEAST_MEMORY} and {LEAST_CACHE} octets",
        )
