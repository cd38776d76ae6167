"""Where a domain's mail goes once the exchange has it, and mail that goes on to other domains."""

from dataclasses import dataclass, field

from mxfleet.fleet.secrets import Secret, SecretReference


@dataclass(frozen=True, slots=True)
class Lmtp:
    """A mailbox server that takes mail by LMTP (RFC 2033), such as Dovecot.

    Of several next hops those of the lowest `priority` that work are used, equals in turn.
    """

    host: str
    port: int = 24
    priority: int = 10


@dataclass(frozen=True, slots=True)
class Smtp:
    """An SMTP next hop (a smarthost, Exchange), with AUTH where the fleet names an account."""

    host: str
    port: int = 25
    require_tls: bool = False
    username: str = ""
    password: SecretReference | None = None
    priority: int = 10


Route = Lmtp | Smtp
Routes = Route | tuple[Route, ...]


def next_hops(route: Routes | None) -> tuple[Route, ...]:
    """The next hops of a domain, however they were written."""
    if route is None:
        return ()
    return route if isinstance(route, tuple) else (route,)


@dataclass(frozen=True, slots=True)
class Relay:
    """Mail for a domain that is not the fleet's goes by these next hops instead of its MX records.

    `name` is a domain, `*.example.org` for all that is below it, or `*` for every other domain (a smarthost).
    """

    name: str
    route: Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """Aliases may lead to other domains: the reverse-path is rewritten into `domain`, so that SPF passes (SRS).

    `domain` is one of the fleet's own; its bounces find their way back for `days`. `keys` is the secret, keys
    with a space between them: the first signs, all are recognised, so that it can be changed without losing a bounce.
    """

    domain: str
    days: int = 21
    keys: SecretReference = field(default_factory=lambda: Secret("srs/keys"))
