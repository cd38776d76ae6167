"""The tables of mxd.toml that say what is found out about mail from elsewhere, and what follows from it."""

from typing import Literal

import msgspec


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every table: frozen, and no key that the service does not know."""


class PolicySettings(Strict, frozen=True):
    """`[policy]`, for all domains, and `[domain.policy]`, whole, for one: what evidence leads to.

    `enforce` refuses, `mark` takes the message and says in its header what was found. `quarantine` is what
    becomes of mail whose author domain asks for that; `temporary` of mail about whose author nobody knows
    anything for now. Exempt networks are never refused, exempt authors not because of DMARC; `sealers` are
    the domains whose ARC seals outweigh a failure of DMARC.
    """

    dmarc: Literal["enforce", "mark"] = "enforce"
    quarantine: Literal["mark", "reject"] = "mark"
    spf: Literal["enforce", "mark"] = "mark"
    iprev: Literal["enforce", "mark"] = "mark"
    lists: Literal["enforce", "mark"] = "enforce"
    rspamd: Literal["enforce", "mark"] = "enforce"
    temporary: Literal["defer", "mark"] = "defer"
    greylist: bool = False
    exempt_networks: tuple[str, ...] = ()
    exempt_authors: tuple[str, ...] = ()
    sealers: tuple[str, ...] = ()


class ListSettings(Strict, frozen=True):
    """`[[evidence.list]]`: a DNS list; with `meanings` (answer → words) only those answers are a listing."""

    zone: str
    meanings: dict[str, str] = {}


class EvidenceSettings(Strict, frozen=True):
    """`[evidence]`: what is found out about mail from elsewhere; without this table, nothing is.

    SPF, DKIM, DMARC, ARC and the client's name always; `list` are the DNS lists asked. `timeout` in seconds is
    how long DNS may take, from MAIL and again from the end of the message. The resolver is that of [delivery].
    """

    timeout: float = 20.0
    list: tuple[ListSettings, ...] = ()


class RspamdSettings(Strict, frozen=True):
    """`[rspamd]`: the scanner of this host, an `address:port` or the path of a socket; without the table, none.

    `unreachable` says what becomes of mail that it did not answer for within `timeout` seconds; messages
    larger than `largest` octets are not shown to it.
    """

    address: str = "127.0.0.1:11333"
    timeout: float = 8.0
    unreachable: Literal["accept", "defer"] = "accept"
    largest: int = 10_485_760


class GreylistSettings(Strict, frozen=True):
    """`[greylist]`: seconds until a stranger may come again, and for how long a known one stays known."""

    delay: int = 300
    window: int = 172_800
    known: int = 3_024_000


class LimitSettings(Strict, frozen=True):
    """`[limits]`: shares of one client in what all processes of this node do together; 0 is no limit.

    An address is an IPv4 address or an IPv6 /64, a prefix a /24 or a /48. Rates are a minute. `memory` is
    octets of messages that one process holds at a time; beyond, it takes no further one.
    """

    sessions_per_prefix: int = 200
    connections_per_address: int = 600
    connections_per_prefix: int = 3000
    messages_per_address: int = 6000
    messages_per_prefix: int = 30_000
    messages_per_user: int = 100
    recipients_per_user: int = 500
    memory: int = 67_108_864
    exempt_networks: tuple[str, ...] = ()
