"""Placeholder until the provider is written."""

from mxfleet.dns.providers.protocol import Provider
from mxfleet.errors import DnsError


def connect(token: str, *, address: str = "", paid: bool = False) -> Provider:  # noqa: ARG001
    """Not yet."""
    raise DnsError("the cloudflare provider is not built yet")
