"""How mail leaves: whose certificates are believed, and destinations that get another TLS than they ask for."""

from dataclasses import dataclass
from pathlib import Path

TLS = ("none", "opportunistic", "encrypt", "verify", "dane")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A rule for a recipient domain, or for a next hop by its host name; `*.example.org` is everything below.

    `tls`: `none`; `opportunistic`; `encrypt`, any certificate; `verify`, one of an authority in the file `trust`,
    else in the fleet's; `dane`, or nothing is sent; empty, as for all others. For a recipient domain, and for each
    node: at most so many `connections` at once, so many attempts begun `per_minute`; 0 as for all others.
    """

    name: str
    tls: str = ""
    trust: Path | None = None
    connections: int = 0
    per_minute: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What counts on the way out.

    `trust` is a PEM file on the operator's machine with the authorities that are believed for MTA-STS (RFC 8461);
    without it those of Debian's ca-certificates are. `dane` (RFC 7672) and `mta_sts` say whether what destinations
    publish counts. Each node opens at most `connections` at once to one destination, and begins so many attempts
    `per_minute` there, 0 for any number. A next hop that gives no session is `set_aside` for so many seconds: others of
    the same domain are asked first.
    """

    connections: int = 10
    per_minute: float = 0.0
    set_aside: int = 60
    trust: Path | None = None
    dane: bool = True
    mta_sts: bool = True
    destinations: tuple[Destination, ...] = ()

    @property
    def trust_files(self) -> tuple[Path, ...]:
        """The operator's files that end up on nodes."""
        named = (self.trust, *(destination.trust for destination in self.destinations))
        return tuple(path for path in named if path)
