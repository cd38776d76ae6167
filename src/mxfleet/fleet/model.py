"""The typed description of a fleet: frozen values, no behaviour but small derivations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from mxfleet.fleet.policy import Policy
from mxfleet.fleet.receiving import Receiving
from mxfleet.fleet.routes import Forwarding, Relay, Route, Routes, next_hops
from mxfleet.fleet.secrets import FileSecret, Secret, SecretReference
from mxfleet.fleet.sending import Sending

Address4 = IPv4Address
Address6 = IPv6Address
Network4 = IPv4Network
Network6 = IPv6Network
Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One Debian host of the fleet, under the name that its PTR, EHLO and certificate bear."""

    name: str
    hostname: str
    address4: IPv4Address
    address6: IPv6Address | None = None
    interface: str = "eth0"

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The node's own addresses, v4 first."""
        return (self.address4, self.address6) if self.address6 else (self.address4,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The address that one node holds at a time (keepalived) and its name, the preferred MX."""

    hostname: str
    address4: IPv4Address
    prefix4: int = 24
    address6: IPv6Address | None = None
    prefix6: int = 64
    router_id: int = 51

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The service addresses, v4 first."""
        return (self.address4, self.address6) if self.address6 else (self.address4,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A mail domain: its recipients (local parts) and where their mail goes, by one next hop or several.

    `aliases` are further local parts with whom they stand for: local parts here, or addresses anywhere (mail for
    elsewhere is forwarded). `catch_all` gets what is for nobody else; after `separator`, e.g. `+`, a local part may
    have a detail (alice+lists is alice). With `subdomains` all names below are as this one; with `rewrite_to` it is
    another name of that domain, and has no recipients of its own. With `call_ahead` the next hop is asked whether it
    takes mail for who is not listed.

    A parked domain has neither: it publishes that it neither sends nor receives (RFC 7505, `-all`, reject).
    `also_send` are SPF terms for who else sends in its name, e.g. `include:_spf.example.net`. `receiving`, where
    given, counts for its mail in the place of the policy's.
    """

    name: str
    recipients: tuple[str, ...] = ()
    route: Routes | None = None
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    catch_all: tuple[str, ...] = ()
    separator: str = ""
    subdomains: bool = False
    rewrite_to: str = ""
    call_ahead: bool = False
    parked: bool = False
    also_send: tuple[str, ...] = ()
    receiving: Receiving | None = None

    @property
    def next_hops(self) -> tuple[Route, ...]:
        """Where its mail goes: one next hop or several."""
        return next_hops(self.route)


@dataclass(frozen=True, slots=True)
class Account:
    """A user who may submit mail: the address is the login and, with `also`, what he may send as.

    The password's Argon2id hash is in the vault as `accounts/<address>`.
    """

    address: str
    also: tuple[str, ...] = ()

    @property
    def secret(self) -> Secret:
        """Where the vault keeps the hash."""
        return Secret(f"accounts/{self.address}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rfc2136:
    """A zone changed by RFC 2136 updates, signed by a TSIG key."""

    server: str
    key_name: str
    key: SecretReference
    algorithm: str = "hmac-sha256"
    port: int = 53


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloudflare:
    """A zone hosted by Cloudflare; the token needs `Zone:DNS:Edit` for its zones and nothing else.

    `address` is that of the API where it is not Cloudflare's own; `paid` raises the number of changes that one
    batch may hold from 200 to 3,500. `server` and `port`, in a laboratory: whom to ask for names of servers.
    """

    token: SecretReference
    address: str = ""
    paid: bool = False
    server: str = ""
    port: int = 53


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneFile:
    """A zone kept as a file (RFC 1035 §5) on the operator's machine, for a server that loads it from there.

    `server` and `port`, in a laboratory: whom to ask for names of servers.
    """

    path: Path
    server: str = ""
    port: int = 53


Hosting = Rfc2136 | Cloudflare | ZoneFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A zone in which mxfleet publishes its records, and only those.

    `signed` says that it is signed with DNSSEC and its parent has the DS: only then TLSA records mean anything.
    """

    name: str
    provider: Hosting
    signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Acme:
    """Where certificates come from (RFC 8555): the directory, and the name that CAA records give its authority.

    `contact` is an address for the authority's warnings. `trust` is a file with the root of the directory's own HTTPS
    certificate, where the system does not know it; `address`, in a laboratory, where its host answers.
    `binding` (key identifier and MAC key, base64url) is for authorities that want an account bound to one that
    they know (RFC 8555 §7.3.4).
    """

    directory: str
    issuer: str
    contact: str = ""
    trust: Path | None = None
    address: str = ""
    binding: tuple[str, SecretReference] | None = None

    @property
    def secret(self) -> Secret:
        """Where the vault keeps the account's key: each directory has its own."""
        return Secret(f"acme/{self.directory.removeprefix('https://').rstrip('/').replace('/', '+')}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """What unbound on each node needs beyond Debian's defaults; a production fleet leaves all of it empty.

    `root_hints` and `trust_anchor` are files on the operator's machine; `private_zones` are answered from
    the DNS although unbound would answer them itself (`local-zone … nodefault`).
    """

    root_hints: Path | None = None
    trust_anchor: Path | None = None
    private_zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ssh:
    """How the operator reaches the nodes; the user needs sudo without a password.

    `config_file` serves ssh itself, the rest pyinfra; `authorized_keys` is the file with the public keys
    that the base role keeps for the user, so that a deploy cannot lock out who runs it.
    """

    user: str = "ops"
    port: int = 22
    key: Path | None = None
    known_hosts: Path | None = None
    config_file: Path | None = None
    authorized_keys: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """Who can open the fleet's secrets: age recipients, and where the operator's own identity is."""

    recipients: tuple[str, ...] = ()
    identity: FileSecret = field(default_factory=lambda: FileSecret(Path("~/.config/mxfleet/identity.txt")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A restic repository on each node for its queue, and on the operator's side for vault and ledger."""

    repository: str = "/var/backups/mxfleet"
    operator_repository: Path = Path("backup")
    keep_daily: int = 14

    @property
    def secret(self) -> Secret:
        """Where the vault keeps the repositories' password."""
        return Secret("backup/password")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Everything that mxfleet knows of one exchange; the one input beside the ledger.

    Checked when it is made: a fleet that cannot work raises FleetError, a sentence with the place in it.
    """

    name: str
    nodes: tuple[Node, ...]
    domains: tuple[Domain, ...]
    admin_networks: tuple[Network, ...]
    service: Service | None = None
    submission_hostname: str = ""
    accounts: tuple[Account, ...] = ()
    zones: tuple[Zone, ...] = ()
    relays: tuple[Relay, ...] = ()
    forwarding: Forwarding | None = None
    acme: Acme | None = None
    resolver: Resolver = field(default_factory=Resolver)
    ssh: Ssh = field(default_factory=Ssh)
    vault: Vault = field(default_factory=Vault)
    backup: Backup = field(default_factory=Backup)
    sending: Sending = field(default_factory=Sending)
    policy: Policy = field(default_factory=Policy)
    postmaster: str = ""
    laboratory: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work, on construction, so that no half-right fleet ever exists."""
        from mxfleet.fleet.checks import refuse_wrong

        refuse_wrong(self)

    @property
    def state_directory(self) -> Path:
        """Ledger and vault, relative to the checkout."""
        return Path("state") / self.name

    @property
    def mx_hostname(self) -> str:
        """The preferred exchange: the service's name, or the only node's."""
        return self.service.hostname if self.service else self.nodes[0].hostname

    @property
    def roll_order(self) -> tuple[Node, ...]:
        """Nodes in the order of a rolling change before the holder is known: last in the file first."""
        return tuple(reversed(self.nodes))

    @property
    def hostnames(self) -> tuple[str, ...]:
        """Every name that a host of the fleet goes by."""
        from mxfleet.fleet.names import all_hostnames

        return tuple(dict.fromkeys(all_hostnames(self)))

    @property
    def peer_addresses(self) -> tuple[Address, ...]:
        """The addresses of all nodes, which trust one another for VRRP and health."""
        return tuple(address for node in self.nodes for address in node.addresses)

    def node(self, name: str) -> Node:
        """The node of that name; raises FleetError with the names that exist."""
        from mxfleet.errors import FleetError

        for node in self.nodes:
            if node.name == name:
                return node
        known = ", ".join(node.name for node in self.nodes)
        raise FleetError(f"fleet {self.name!r} has no node {name!r}", hint=f"its nodes are {known}")

    def to_json(self) -> dict[str, str]:
        """What `pyinfra debug-inventory` may print: the name, nothing else."""
        return {"fleet": self.name}
