"""The typed description of a fleet: what an inventory is written in."""

from mxfleet.fleet.inventory import hosts
from mxfleet.fleet.model import (
    Account,
    Address,
    Address4,
    Address6,
    Backup,
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
)
from mxfleet.fleet.policy import KeyPeriods, Policy, Retry
from mxfleet.fleet.routes import Lmtp, Route, Smtp
from mxfleet.fleet.secrets import EnvSecret, FileSecret, Secret, SecretReference

__all__ = [
    "Account",
    "Address",
    "Address4",
    "Address6",
    "Backup",
    "Domain",
    "EnvSecret",
    "FileSecret",
    "Fleet",
    "KeyPeriods",
    "Lmtp",
    "Network",
    "Network4",
    "Network6",
    "Node",
    "Policy",
    "Resolver",
    "Retry",
    "Rfc2136",
    "Route",
    "Secret",
    "SecretReference",
    "Service",
    "Smtp",
    "Ssh",
    "Vault",
    "Zone",
    "hosts",
]
