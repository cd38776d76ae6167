"""What every authoritative server says of the keys' records, for the decision on their next steps."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from mxfleet.dns.activation import Place, places_of
from mxfleet.dns.authority import THREADS, Ask, Sight, Sought, Verdict, ask_server, everywhere, look
from mxfleet.dns.families import home_of, selector_name, tlsa_name
from mxfleet.errors import DnsError
from mxfleet.fleet.model import Fleet
from mxfleet.keys.dkim import REVOKED_TEXT, record_text
from mxfleet.keys.lifecycle import WITHDRAWN, KeyState, Material
from mxfleet.keys.needs import bound_names
from mxfleet.keys.state import KeyView, State

Dissent = dict[str, tuple[str, ...]]
"""Key id → the servers that do not show what they should, a sentence each; empty where all do."""


def dissent(fleet: Fleet, state: State, ask: Ask = ask_server) -> Dissent:
    """For every key that is not gone; all servers are asked at once, each on every address, never a resolver.

    TLS keys of names without TLSA records are shown everywhere: there is nothing to show.
    """
    bound = frozenset(bound_names(fleet))
    kept = [key for key in state.keys if key.state is not KeyState.REMOVED]
    unbound = [key for key in kept if key.material is Material.TLS and key.owner not in bound]
    keys = [key for key in kept if key not in unbound]
    places, found = _places(fleet, keys)
    questions = [
        (key, sought(places[home_of(key)], key), authority)
        for key in keys
        if home_of(key) in places
        for authority in places[home_of(key)].servers
    ]
    with ThreadPoolExecutor(THREADS) as pool:
        sights = list(pool.map(lambda question: look(question[1], question[2], ask), questions))
    by_key: dict[str, list[Sight]] = {}
    for (key, _, _), sight in zip(questions, sights, strict=True):
        by_key.setdefault(key.id, []).append(sight)
    found |= {key.id: () for key in unbound}
    return found | {key: _dissenting(said) for key, said in by_key.items()}


def sought(place: Place, key: KeyView) -> Sought:
    """What the key's record shall be in its present state."""
    if key.material is Material.TLS:
        name, spki = tlsa_name(key.owner), bytes.fromhex(key.spki)
        return Sought(place.zone, name, spki, "TLSA", gone=key.state in WITHDRAWN)
    text = REVOKED_TEXT if key.state in WITHDRAWN else record_text(key.algorithm, key.public)
    return Sought(place.zone, selector_name(key.owner, key.label), text)


def _places(fleet: Fleet, keys: Iterable[KeyView]) -> tuple[dict[str, Place], Dissent]:
    """The servers of each key's home, and for keys whose servers cannot be found the reason."""
    places: dict[str, Place] = {}
    found: Dissent = {}
    reasons: dict[str, str] = {}
    for key in keys:
        home = home_of(key)
        if home not in places and home not in reasons:
            try:
                places |= places_of(fleet, [home])
            except DnsError as error:
                reasons[home] = error.message
        if home in reasons:
            found[key.id] = (reasons[home],)
    return places, found


def _dissenting(sights: list[Sight]) -> tuple[str, ...]:
    if everywhere(sights):
        return ()
    return tuple(str(sight) for sight in sights if sight.verdict is not Verdict.SHOWN)
