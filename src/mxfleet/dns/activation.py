"""Published keys become active: once every authoritative server shows them, and not before."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from mxfleet.dns.authority import Ask, Sight, Sought, ask_server, everywhere, observe
from mxfleet.dns.desired import zone_of
from mxfleet.dns.families import selector_name
from mxfleet.dns.lookup import Authority, authorities, enclosing_zone, lookup_for
from mxfleet.fleet.model import Fleet
from mxfleet.keys.dkim import record_text
from mxfleet.keys.facts import Moved
from mxfleet.keys.ledger import Writer
from mxfleet.keys.lifecycle import KeyState, is_first
from mxfleet.keys.state import KeyView, State

PATIENCE, PAUSE = 30.0, 0.1


@dataclass(frozen=True, slots=True)
class Place:
    """A zone and the servers that are authoritative for it."""

    zone: str
    servers: tuple[Authority, ...]


@dataclass(frozen=True, slots=True)
class Activation:
    """Which keys became active, and which wait, with what each server says of them."""

    active: tuple[KeyView, ...] = ()
    waiting: tuple[tuple[KeyView, tuple[Sight, ...]], ...] = ()


def activate_visible(
    fleet: Fleet,
    writer: Writer,
    *,
    patience: float = PATIENCE,
    ask: Ask = ask_server,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Activation:
    """Look at all servers until each published key is seen everywhere, for `patience` seconds at the most.

    A key seen everywhere becomes visible; the first of its domain and algorithm becomes active with it. No
    further wait is owed then: its selector contains a hash of the key, so nobody can have asked for it before
    it was published and hold a remembered "does not exist". Keys whose zone is not ours are asked for too.
    """
    places = _places(fleet, writer.state)
    end, active = monotonic() + patience, list[KeyView]()
    while True:
        waiting = []
        for key in _waiting(fleet, writer.state):
            place = places[key.owner]
            sights = observe(_sought(place, key), place.servers, ask)
            if everywhere(sights):
                active += _advance(writer, key)
            else:
                waiting.append((key, sights))
        if not waiting or monotonic() >= end:
            return Activation(tuple(active), tuple(waiting))
        sleep(PAUSE)


def _waiting(fleet: Fleet, state: State) -> list[KeyView]:
    """Keys to look for: published ones, first ones that are visible, and minted ones that others publish."""
    zones = {zone.name for zone in fleet.zones}
    domains = {domain.name for domain in fleet.domains}
    return [
        key
        for key in state.dkim()
        if key.owner in domains
        and (
            key.state is KeyState.PUBLISHED
            or (key.state is KeyState.VISIBLE and _first(state, key))
            or (key.state is KeyState.MINTED and zone_of(key.owner, zones) is None)
        )
    ]


def _advance(writer: Writer, key: KeyView) -> list[KeyView]:
    way = [KeyState.PUBLISHED, KeyState.VISIBLE]
    steps = way[way.index(key.state) + 1 :] if key.state in way else way
    first = _first(writer.state, key)
    writer.append(
        *(Moved(key=key.id, state=step) for step in [*steps, *([KeyState.ACTIVE] if first else [])])
    )
    return [key] if first else []


def _first(state: State, key: KeyView) -> bool:
    return is_first(sibling.state for sibling in state.siblings(key))


def _sought(place: Place, key: KeyView) -> Sought:
    return Sought(place.zone, selector_name(key.owner, key.label), record_text(key.algorithm, key.public))


def _places(fleet: Fleet, state: State) -> dict[str, Place]:
    """Domain → its zone and that zone's servers, for the domains with a key that waits; each zone asked once."""
    zones = {zone.name: zone for zone in fleet.zones}
    found: dict[str, Place] = {}
    places: dict[str, Place] = {}
    for domain in dict.fromkeys(key.owner for key in _waiting(fleet, state)):
        ours = zone_of(domain, zones)
        lookup = lookup_for(fleet, zones[ours] if ours else None)
        zone = ours or enclosing_zone(domain, lookup)
        if zone not in found:
            found[zone] = Place(zone, authorities(zone, lookup))
        places[domain] = found[zone]
    return places
