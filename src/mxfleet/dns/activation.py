"""Published keys become active: once every authoritative server shows them, and not before."""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from mxfleet.dns.authority import Ask, Sight, Sought, ask_server, everywhere, observe
from mxfleet.dns.desired import zone_of
from mxfleet.dns.families import home_of, selector_name
from mxfleet.dns.lookup import Authority, Lookup, authorities, enclosing_zone, is_delegated, lookup_for
from mxfleet.fleet.model import Fleet
from mxfleet.keys.dkim import record_text
from mxfleet.keys.facts import Moved
from mxfleet.keys.ledger import Writer
from mxfleet.keys.lifecycle import LIVE, KeyState, is_first
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
    rewritten: Collection[str] = (),
    patience: float = PATIENCE,
    ask: Ask = ask_server,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Activation:
    """Look at all servers until each published key is seen everywhere, for `patience` seconds at the most.

    A key seen everywhere becomes visible; the first of its domain and algorithm becomes active with it. No
    further wait is owed then: its selector contains a hash of the key, so nobody can have asked for it before
    it was published and hold a remembered "does not exist". Keys whose zone is not ours are asked for too.
    `rewritten` are names of records that had to be written again: keys that sign already are waited for there.
    """
    places = places_of(fleet, (home_of(key) for key in _waiting(fleet, writer.state, rewritten)))
    end, active, again = monotonic() + patience, list[KeyView](), frozenset(rewritten)
    while True:
        waiting = []
        for key in _waiting(fleet, writer.state, again):
            place = places[home_of(key)]
            sights = observe(_sought(place, key), place.servers, ask)
            if not everywhere(sights):
                waiting.append((key, sights))
            elif key.state in LIVE:
                again -= {selector_name(key.owner, key.label)}
            else:
                active += _advance(writer, key)
        if not waiting or monotonic() >= end:
            return Activation(tuple(active), tuple(waiting))
        sleep(PAUSE)


def _waiting(fleet: Fleet, state: State, rewritten: Collection[str]) -> list[KeyView]:
    zones = {zone.name for zone in fleet.zones}
    domains = {domain.name for domain in fleet.domains}
    return [key for key in state.dkim() if key.owner in domains and _waits(state, key, zones, rewritten)]


def _waits(state: State, key: KeyView, zones: Collection[str], rewritten: Collection[str]) -> bool:
    """Whether to look for the key: published, visible as a first key, minted where others publish, or rewritten."""
    match key.state:
        case KeyState.MINTED:
            return zone_of(home_of(key), zones) is None
        case KeyState.PUBLISHED:
            return True
        case KeyState.VISIBLE:
            return _first(state, key)
    return key.state in LIVE and selector_name(key.owner, key.label) in rewritten


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


def places_of(fleet: Fleet, names: Iterable[str]) -> dict[str, Place]:
    """Name → the zone that it lies in and that zone's servers; each zone is asked for once."""
    zones = {zone.name: zone for zone in fleet.zones}
    found: dict[str, Place] = {}
    places: dict[str, Place] = {}
    for name in dict.fromkeys(names):
        ours = zone_of(name, zones)
        lookup = lookup_for(fleet, zones[ours] if ours else None)
        zone = ours or _elsewhere(name, lookup)
        if zone not in found:
            found[zone] = Place(zone, authorities(zone, lookup))
        places[name] = found[zone]
    return places


def _elsewhere(name: str, lookup: Lookup) -> str:
    """The zone of a name that is none of ours: that above it, unless `_domainkey` is delegated by itself.

    Of `_domainkey` no resolver is asked before it is known to be there: what it remembers of a name that does not
    exist holds for all selectors below it (RFC 8020).
    """
    domain = name.removeprefix("_domainkey.")
    zone = enclosing_zone(domain, lookup)
    return name if domain != name and is_delegated(name, authorities(zone, lookup)) else zone
