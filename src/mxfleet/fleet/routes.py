"""Where a domain's mail goes once the exchange has it."""

from dataclasses import dataclass

from mxfleet.fleet.secrets import SecretReference


@dataclass(frozen=True, slots=True)
class Lmtp:
    """A mailbox server that takes mail by LMTP (RFC 2033), such as Dovecot."""

    host: str
    port: int = 24


@dataclass(frozen=True, slots=True)
class Smtp:
    """An SMTP next hop (a smarthost, Exchange), with AUTH where the fleet names an account."""

    host: str
    port: int = 25
    require_tls: bool = False
    username: str = ""
    password: SecretReference | None = None


Route = Lmtp | Smtp
