"""The tables of mxd.toml that say where mail goes: next hops, other domains' routes, forwarding."""

from typing import Literal

from mxfleet.mxd.receiving_settings import Strict


class RouteSettings(Strict, frozen=True):
    """One next hop: of the lowest `priority` that works, among equals any; AUTH only inside TLS."""

    kind: Literal["lmtp", "smtp"]
    host: str
    port: int
    require_tls: bool = False
    username: str = ""
    password_file: str = ""
    priority: int = 10


Routes = RouteSettings | tuple[RouteSettings, ...]


def listed(route: Routes | None) -> tuple[RouteSettings, ...]:
    """The next hops, however they were written."""
    if route is None:
        return ()
    return route if isinstance(route, tuple) else (route,)


class RelaySettings(Strict, frozen=True):
    """`[[relay]]`: mail for a domain that is not ours goes by these next hops, not by its MX records.

    `name` is a domain, `*.example.org` for all below it, or `*` for every other.
    """

    name: str
    route: Routes


class ForwardingSettings(Strict, frozen=True):
    """`[forwarding]`: the reverse-path of mail that goes on to another domain is rewritten into `domain` (SRS).

    `keys` is a file of keys, white space between them: the first signs, all are recognised for `days`. The domain's RSA key in
    [[dkim]] also makes the ARC seals.
    """

    domain: str
    keys: str
    days: int = 21
