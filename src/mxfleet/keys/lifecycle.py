"""The life of a key, as one table of permitted steps; pure, and the same for DKIM and TLS.

    minted → published → visible → standby → ready → active → draining → revoked → removed
                 ▲          │  │       │       │
                 └──────────┴──┼───────┴───────┘  a server stopped to show it
                               └──── nothing else signs ────▶ active
    any that was published → compromised → revoked

A key is `active` (may be rendered to nodes and sign) only after DNS showed it on every authoritative server.
Where no key of its owner and algorithm is active, a visible or standby key takes the short way: until then mail
leaves without that signature and nothing can break. `rotation` says which step is due when.
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
    S.PUBLISHED: frozenset({S.VISIBLE, S.COMPROMISED, S.REMOVED}),
    S.VISIBLE: frozenset({S.STANDBY, S.ACTIVE, S.PUBLISHED, S.COMPROMISED, S.REMOVED}),
    S.STANDBY: frozenset({S.READY, S.ACTIVE, S.PUBLISHED, S.COMPROMISED, S.REMOVED}),
    S.READY: frozenset({S.ACTIVE, S.PUBLISHED, S.COMPROMISED, S.REMOVED}),
    S.ACTIVE: frozenset({S.DRAINING, S.COMPROMISED}),
    S.DRAINING: frozenset({S.DRAINING, S.REVOKED, S.COMPROMISED}),
    S.COMPROMISED: frozenset({S.REVOKED}),
    S.REVOKED: frozenset({S.REMOVED}),
    S.REMOVED: frozenset(),
}
"""From each state to those that may follow.

`→ published` is a server that stopped agreeing; `draining → draining` a node that was found to sign with the key
again, from which the drain is counted anew; `→ removed` before a key was active is one that nobody needs any more.
"""

SUCCESSORS = frozenset({S.MINTED, S.PUBLISHED, S.VISIBLE, S.STANDBY, S.READY})
"""States of a key that has not signed yet and will be next."""

ADVERTISED = frozenset({S.MINTED, S.PUBLISHED, S.VISIBLE, S.STANDBY, S.READY, S.ACTIVE, S.DRAINING})
"""DNS shall hold the public key (for a minted key: shall hold it from the next apply on)."""

WITHDRAWN = frozenset({S.COMPROMISED, S.REVOKED})
"""DNS shall say that the key is revoked: an empty `p=` (RFC 6376 §3.6.1)."""

LIVE = frozenset({S.ACTIVE, S.DRAINING})
"""Mail signed with the key may be on its way: its record must stay as it is."""


def refuse_step(key: str, before: KeyState, after: KeyState, siblings: Iterable[KeyState] = ()) -> None:
    """Raise StateError where the step is not in the table, or takes the short way while another key is active.

    `siblings` are the states of the other keys of the same owner and algorithm.
    """
    if after not in STEPS[before]:
        raise StateError(f"key {key} cannot go from {before} to {after}")
    if after is S.ACTIVE and before is not S.READY and not is_first(siblings):
        raise StateError(f"key {key} cannot become active at once: an older key still signs")


def is_first(siblings: Iterable[KeyState]) -> bool:
    """Whether a key with these siblings may take the short way to active."""
    return S.ACTIVE not in set(siblings)
