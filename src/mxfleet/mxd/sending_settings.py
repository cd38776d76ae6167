"""The tables of mxd.toml that say how mail leaves: which TLS, and whose certificates are believed."""

from typing import Literal

from mxfleet.mxd.receiving_settings import Strict


class SendingSettings(Strict, frozen=True):
    """`[sending]`: what destinations publish about TLS counts, unless it is switched off here.

    `trust` is a PEM file with the authorities that are believed for MTA-STS policies, the hosts they name and next
    hops; empty: what Debian's ca-certificates has.
    """

    trust: str = ""
    dane: bool = True
    mta_sts: bool = True


class DestinationSettings(Strict, frozen=True):
    """`[[destination]]`: another rule for a recipient domain, or for a next hop by its host name.

    `name` may begin with `*.` for everything below. `tls`: `none`, `opportunistic`, `encrypt` (any certificate),
    `verify` (of an authority in `trust`, empty for the fleet's), `dane` (or not at all); without it, as for others.
    For a recipient domain also: at most so many `connections` at once, so many attempts `per_minute`; 0: as for others.
    """

    name: str
    tls: Literal["", "none", "opportunistic", "encrypt", "verify", "dane"] = ""
    trust: str = ""
    connections: int = 0
    per_minute: float = 0.0
