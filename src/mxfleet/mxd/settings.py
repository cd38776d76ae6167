"""What `mxd` reads: `/etc/mxfleet/mxd.toml`, strictly; an unknown key is an error."""

import tomllib
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from mxfleet.errors import SettingsError
from mxfleet.mxd.limits_settings import LimitSettings
from mxfleet.mxd.receiving_settings import (
    CallAheadSettings,
    EvidenceSettings,
    GreylistSettings,
    PolicySettings,
    RspamdSettings,
    Strict,
)
from mxfleet.mxd.routing_settings import ForwardingSettings, RelaySettings, Routes
from mxfleet.mxd.routing_settings import RouteSettings as RouteSettings
from mxfleet.mxd.sending_settings import DestinationSettings, SendingSettings


class NodeSettings(Strict, frozen=True):
    """`[node]`: who this host is; outbound connections leave from these addresses under this name."""

    name: str
    hostname: str
    release: str
    address4: str
    address6: str = ""


class ServiceSettings(Strict, frozen=True):
    """`[service]`: names, processes and limits.

    `hostname` is in the banner of the exchange, `submission_hostname` in that of submission; `peers` are the
    addresses of all nodes and `names` their host names and the fleet's others; sizes in octets, times in seconds.
    """

    hostname: str
    submission_hostname: str = ""
    postmaster: str = ""
    workers: int = 1
    peers: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    message_size: int = 52_428_800
    recipients: int = 100
    sessions: int = 1000
    sessions_per_address: int = 50
    command_timeout: float = 300.0
    data_timeout: float = 180.0
    errors: int = 10


class PathSettings(Strict, frozen=True):
    """`[paths]`: where the service keeps and finds things."""

    spool: str = "/var/lib/mxd/spool.sqlite"
    runtime: str = "/run/mxd"
    accounts: str = "/etc/mxfleet/accounts.toml"


class CertificateSettings(Strict, frozen=True):
    """`[[certificate]]`: chosen by SNI (`name`), else by the local address, else the first."""

    name: str
    chain: str
    key: str
    addresses: tuple[str, ...] = ()


class DomainSettings(Strict, frozen=True):
    """`[[domain]]`: a domain that the exchange receives for; `recipients` are local parts, `route` its next hops.

    `aliases` are names with their targets, which may be elsewhere; `catch_all` is who gets what is for nobody;
    `separator` is between a name and its detail (RFC 5233). With `subdomains` all names below are as the domain
    itself. With `rewrite_to` it is another name of that domain, and has nothing of all this. `policy` is its own,
    else that of the whole file applies.
    """

    name: str
    recipients: tuple[str, ...] = ()
    route: Routes | None = None
    aliases: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    catch_all: tuple[str, ...] = ()
    separator: str = ""
    subdomains: bool = False
    rewrite_to: str = ""
    call_ahead: bool = False
    policy: PolicySettings | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Under which it stands in a table (Wildcards)."""
        return (self.name, f"*.{self.name}") if self.subdomains else (self.name,)


class DkimSettings(Strict, frozen=True):
    """`[[dkim]]`: a key that signs mail from `domain`."""

    domain: str
    selector: str
    algorithm: Literal["rsa", "ed25519"]
    key: str


class RetrySettings(Strict, frozen=True):
    """`[retry]`: seconds; doubling from `first` to `longest`, given up after `lifetime`.

    The sender is told of a delay after `warning`, once; 0 is never.
    """

    first: int = 300
    longest: int = 14_400
    lifetime: int = 432_000
    warning: int = 14_400


class DeliverySettings(Strict, frozen=True):
    """`[delivery]`: outbound limits, with defaults that a fleet need not state.

    `attempts` run at once, at most `per_destination` of them to one next hop; `resolver` is an address or
    `address:port` (empty: what resolv.conf says), also for evidence; `port` is that of MX hosts. A host that gives
    no session is `set_aside` for that many seconds: others of the same domain are asked first. `per_minute` is how many
    attempts may begin at one destination, 0 for any number; [[destination]] may say otherwise.
    """

    attempts: int = 100
    per_destination: int = 10
    connect_timeout: float = 30.0
    resolver: str = ""
    port: int = 25
    set_aside: float = 60.0
    per_minute: float = 0.0


class Settings(Strict, frozen=True):
    """The whole file."""

    node: NodeSettings
    service: ServiceSettings
    domain: tuple[DomainSettings, ...]
    certificate: tuple[CertificateSettings, ...] = ()
    dkim: tuple[DkimSettings, ...] = ()
    relay: tuple[RelaySettings, ...] = ()
    forwarding: ForwardingSettings | None = None
    retry: RetrySettings = msgspec.field(default_factory=RetrySettings)
    delivery: DeliverySettings = msgspec.field(default_factory=DeliverySettings)
    sending: SendingSettings = msgspec.field(default_factory=SendingSettings)
    destination: tuple[DestinationSettings, ...] = ()
    limits: LimitSettings = msgspec.field(default_factory=LimitSettings)
    policy: PolicySettings = msgspec.field(default_factory=PolicySettings)
    evidence: EvidenceSettings | None = None
    rspamd: RspamdSettings | None = None
    greylist: GreylistSettings = msgspec.field(default_factory=GreylistSettings)
    call_ahead: CallAheadSettings = msgspec.field(default_factory=CallAheadSettings)
    paths: PathSettings = msgspec.field(default_factory=PathSettings)


class AccountSettings(Strict, frozen=True):
    """`[[account]]` in accounts.toml: the login, what it may send as, and its Argon2id hash (PHC string)."""

    address: str
    hash: str
    also: tuple[str, ...] = ()


class Accounts(Strict, frozen=True):
    """The whole of accounts.toml."""

    account: tuple[AccountSettings, ...] = ()


Table = TypeVar("Table", bound=Strict)


def parse(text: str, name: str = "mxd.toml") -> Settings:
    """Settings from TOML text; raises SettingsError with the key's path."""
    return _decode(text, name, Settings)


def parse_accounts(text: str, name: str = "accounts.toml") -> Accounts:
    """Accounts from TOML text; raises SettingsError with the key's path, never with a hash."""
    return _decode(text, name, Accounts)


def read(path: Path) -> Settings:
    """Settings from a file; raises SettingsError."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}", hint="mxfleet deploy") from error
    return parse(text, str(path))


def _decode(text: str, name: str, kind: type[Table]) -> Table:
    try:
        return msgspec.convert(tomllib.loads(text), kind)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{name}: not TOML: {error}", hint="mxfleet deploy writes it anew") from error
    except msgspec.ValidationError as error:
        raise SettingsError(f"{name}: {error}", hint="mxfleet deploy writes it anew") from error
