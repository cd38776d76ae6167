"""The typed description of a fleet: what an inventory is written in."""

from mxfleet.fleet.alias_file import alias_file
from mxfleet.fleet.inventory import hosts
from mxfleet.fleet.limits import Limits
from mxfleet.fleet.model import (
    Account,
    Acme,
    Address,
    Address4,
    Address6,
    Backup,
    Cloudflare,
    Domain,
    Fleet,
    Network,
    Network4,
    Network6,
    Node,
    Resolver,
    Rfc2136,
    Service,
    Ssh,
    Vault,
    Zone,
    ZoneFile,
)
from mxfleet.fleet.policy import KeyPeriods, Policy, Retry
from mxfleet.fleet.receiving import CallAhead, Greylist, Receiving, Rspamd
from mxfleet.fleet.routes import Forwarding, Lmtp, Relay, Route, Smtp
from mxfleet.fleet.secrets import EnvSecret, FileSecret, Secret, SecretReference
from mxfleet.fleet.sending import Destination, Sending

__all__ = [
    "Account",
    "Acme",
    "Address",
    "Address4",
    "Address6",
    "Backup",
    "CallAhead",
    "Cloudflare",
    "Destination",
    "Domain",
    "EnvSecret",
    "FileSecret",
    "Fleet",
    "Forwarding",
    "Greylist",
    "KeyPeriods",
    "Limits",
    "Lmtp",
    "Network",
    "Network4",
    "Network6",
    "Node",
    "Policy",
    "Receiving",
    "Relay",
    "Resolver",
    "Retry",
    "Rfc2136",
    "Route",
    "Rspamd",
    "Secret",
    "SecretReference",
    "Sending",
    "Service",
    "Smtp",
    "Ssh",
    "Vault",
    "Zone",
    "ZoneFile",
    "alias_file",
    "hosts",
]
