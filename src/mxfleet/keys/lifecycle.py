"""The life of a key, as one table of permitted steps; pure, and the same for DKIM and TLS.

    minted → published → visible → standby → ready → active → draining → revoked → removed
                            └────────── first key ──────▲
    any that was published → compromised → revoked

A key is `active` (may be rendered to nodes and sign) only after DNS showed it on every authoritative server.
The first key of an owner and algorithm takes the short way from `visible` to `active`: no older key signs, so
until then mail leaves unsigned and nothing can break. Rotation, drain and compromise use the rest of the table.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from mxfleet.errors import StateError


class Material(StrEnum):
    """What a key is for: `dkim` signs mail, `tls` proves the name of an exchange."""

    DKIM = "dkim"
    TLS = "tls"


class KeyState(StrEnum):
    """Where a key is in its life; each step is one line of the ledger."""

    MINTED = "minted"
    PUBLISHED = "published"
    VISIBLE = "visible"
    STANDBY = "standby"
    READY = "ready"
    ACTIVE = "active"
    DRAINING = "draining"
    REVOKED = "revoked"
    REMOVED = "removed"
    COMPROMISED = "compromised"


S = KeyState
STEPS: Mapping[KeyState, frozenset[KeyState]] = {
    S.MINTED: frozenset({S.PUBLISHED, S.REMOVED}),
    S.PUBLISHED: frozenset({S.VISIBLE, S.COMPROMISED}),
    S.VISIBLE: frozenset({S.STANDBY, S.ACTIVE, S.PUBLISHED, S.COMPROMISED}),
    S.STANDBY: frozenset({S.READY, S.COMPROMISED}),
    S.READY: frozenset({S.ACTIVE, S.COMPROMISED}),
    S.ACTIVE: frozenset({S.DRAINING, S.COMPROMISED}),
    S.DRAINING: frozenset({S.REVOKED, S.COMPROMISED}),
    S.COMPROMISED: frozenset({S.REVOKED}),
    S.REVOKED: frozenset({S.REMOVED}),
    S.REMOVED: frozenset(),
}
"""From each state to those that may follow; `visible → published` is a server that stopped agreeing."""

ADVERTISED = frozenset({S.MINTED, S.PUBLISHED, S.VISIBLE, S.STANDBY, S.READY, S.ACTIVE, S.DRAINING})
"""DNS shall hold the public key (for a minted key: shall hold it from the next apply on)."""

WITHDRAWN = frozenset({S.COMPROMISED, S.REVOKED})
"""DNS shall say that the key is revoked: an empty `p=` (RFC 6376 §3.6.1)."""

LIVE = frozenset({S.ACTIVE, S.DRAINING})
"""Mail signed with the key may be on its way: its record must stay as it is."""


def refuse_step(key: str, before: KeyState, after: KeyState, siblings: Iterable[KeyState] = ()) -> None:
    """Raise StateError where the step is not in the table, or the short way is not the first key's.

    `siblings` are the states of the other keys of the same owner and algorithm.
    """
    if after not in STEPS[before]:
        raise StateError(f"key {key} cannot go from {before} to {after}")
    if (before, after) == (S.VISIBLE, S.ACTIVE) and LIVE & set(siblings):
        raise StateError(f"key {key} cannot become active at once: an older key still signs")


def is_first(siblings: Iterable[KeyState]) -> bool:
    """Whether a key with these siblings may take the short way from visible to active."""
    return not LIVE & set(siblings)
