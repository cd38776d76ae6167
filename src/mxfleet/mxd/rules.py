"""`[policy]` as it is applied: networks parsed, names canonical; two domains with equal rules share a transaction."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias

import msgspec

from mxfleet.errors import SettingsError
from mxfleet.mail.names import canonical_name
from mxfleet.mail.questions import Address
from mxfleet.mxd.receiving_settings import PolicySettings

Network: TypeAlias = IPv4Network | IPv6Network


class Rules(msgspec.Struct, frozen=True):
    """The policy of a domain for mail from elsewhere."""

    settings: PolicySettings
    networks: tuple[Network, ...] = ()
    authors: frozenset[str] = frozenset()
    sealers: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: PolicySettings) -> "Rules":
        """Parse; raises SettingsError for what is no network or no name."""
        return cls(
            settings,
            networks(settings.exempt_networks, "exempt_networks"),
            names(settings.exempt_authors, "exempt_authors"),
            names(settings.sealers, "sealers"),
        )

    def exempts(self, address: Address) -> bool:
        """Whether mail from this client is never refused for what is found out about it."""
        return bool(self.networks) and any(address in network for network in self.networks)


def networks(texts: Iterable[str], where: str) -> tuple[Network, ...]:
    """Networks in CIDR form; SettingsError for anything else."""
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from error


def names(texts: Iterable[str], where: str) -> frozenset[str]:
    """Canonical domain names; SettingsError for what is none."""
    found = {text: canonical_name(text) for text in texts}
    for text, name in found.items():
        if not name:
            raise SettingsError(f"{where}: {text!r} is not a domain")
    return frozenset(found.values())
