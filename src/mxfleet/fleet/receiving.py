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
    because of DMARC; `sealers` are domains whose ARC seals outweigh a failure of DMARC. With `greylist` `on`, mail
    that no author's domain answers for (DMARC) has to come again.
    """

    dmarc: str = "enforce"
    quarantine: str = "mark"
    spf: str = "mark"
    iprev: str = "mark"
    lists: str = "enforce"
    rspamd: str = "enforce"
    temporary: str = "defer"
    greylist: str = "off"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Greylist:
    """How long who is greylisted has to wait, in seconds; for whom, says `Receiving.greylist`.

    Who comes for the first time comes again after `delay` and within `window`, and is known then as long as it comes
    every `lifetime`. It is told by its network, its reverse-path (`sender`: its `domain`, or the whole `address`), and the
    domain of the recipient.
    """

    delay: float = 300.0
    window: float = 172_800.0
    lifetime: float = 3_110_400.0
    sender: str = "domain"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAhead:
    """How long the next hop's answers hold, in seconds, for domains with `call_ahead`.

    Where it does not answer within `timeout`, who was known within `stale` still is; other recipients are
    `unreachable`: `defer` or `accept`.
    """

    positive: float = 86_400.0
    negative: float = 3600.0
    stale: float = 604_800.0
    timeout: float = 15.0
    unreachable: str = "defer"


VALUES = {
    "dmarc": ("enforce", "mark"),
    "quarantine": ("mark", "reject"),
    "spf": ("enforce", "mark"),
    "iprev": ("enforce", "mark"),
    "lists": ("enforce", "mark"),
    "rspamd": ("enforce", "mark"),
    "temporary": ("defer", "mark"),
    "greylist": ("on", "off"),
}
"""What each word of Receiving may be."""
