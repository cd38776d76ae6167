"""What makes a fleet's rules for mail on its way out wrong; in the manner of checks.py."""

from collections.abc import Iterator

from mxfleet.fleet.model import Fleet
from mxfleet.fleet.names import LABEL, Problem, is_hostname, twice
from mxfleet.fleet.sending import TLS


def sending(fleet: Fleet) -> Iterator[Problem]:
    """Rules for destinations name each once, and a TLS that exists."""
    for destination in fleet.sending.destinations:
        name = destination.name.removeprefix("*.")
        if not is_hostname(name) and not LABEL.match(name):
            yield (
                f"destination {destination.name!r} is not a name",
                "example.org, or *.example.org for all below",
            )
        if destination.tls not in ("", *TLS):
            yield (
                f"destination {destination.name}: tls {destination.tls!r} is unknown",
                f"one of {', '.join(TLS)}",
            )
        if destination.trust and destination.tls != "verify":
            yield f"destination {destination.name}: trust counts for tls='verify' only", "leave it out"
        if destination.connections < 0 or destination.per_minute < 0:
            yield (
                f"destination {destination.name}: connections or per_minute is negative",
                "0 is as for others",
            )
        if not (destination.tls or destination.connections or destination.per_minute):
            yield f"destination {destination.name}: its rule says nothing", "tls, connections or per_minute"
    if fleet.sending.connections < 1 or fleet.sending.per_minute < 0 or fleet.sending.set_aside < 0:
        yield "sending: connections, per_minute or set_aside is too small", "at least 1, 0 and 0"
    yield from twice("destination", [destination.name for destination in fleet.sending.destinations])
