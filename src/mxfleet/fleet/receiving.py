"""What a fleet makes of mail from elsewhere: what evidence leads to, and who gives an opinion of content."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving:
    """What evidence about mail from elsewhere leads to, for all domains or, as `Domain.receiving`, for one.

    `dmarc`, `spf`, `iprev`, `lists` and `rspamd` are `enforce` (refuse) or `mark` (take it, and say in its header
    what was found). `quarantine` (`mark` or `reject`) is what becomes of mail whose author's domain asks for that
    (RFC 9989 §4.7), `temporary` (`defer` or `mark`) of mail about whose author DNS says nothing for now. Mail from
    `exempt_networks` is never refused for what is found out about it; mail of `exempt_authors`, domains, not
    because of DMARC; `sealers` are domains whose ARC seals outweigh a failure of DMARC.
    """

    dmarc: str = "enforce"
    quarantine: str = "mark"
    spf: str = "mark"
    iprev: str = "mark"
    lists: str = "enforce"
    rspamd: str = "enforce"
    temporary: str = "defer"
    exempt_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    exempt_authors: tuple[str, ...] = ()
    sealers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rspamd:
    """rspamd on each node, which judges content, and the valkey that it remembers in; both for this host alone.

    `unreachable` is what becomes of mail that it did not judge within `timeout` seconds: `accept`, unjudged, or
    `defer`. From a score of `reject` mail is refused, from `mark` it bears a header that says so. `workers` judge at
    the same time; `memory`, in octets, is the limit of rspamd as a whole, `cache` that of valkey.
    """

    unreachable: str = "accept"
    timeout: int = 8
    reject: float = 15.0
    mark: float = 6.0
    workers: int = 2
    memory: int = 1024 * MEBIBYTE
    cache: int = 256 * MEBIBYTE


VALUES = {
    "dmarc": ("enforce", "mark"),
    "quarantine": ("mark", "reject"),
    "spf": ("enforce", "mark"),
    "iprev": ("enforce", "mark"),
    "lists": ("enforce", "mark"),
    "rspamd": ("enforce", "mark"),
    "temporary": ("defer", "mark"),
}
"""What each word of Receiving may be."""
