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
    the domains whose ARC seals outweigh a failure of DMARC. With `greylist` `on`, mail that no author's domain
    answers for has to come again.
    """

    dmarc: Literal["enforce", "mark"] = "enforce"
    quarantine: Literal["mark", "reject"] = "mark"
    spf: Literal["enforce", "mark"] = "mark"
    iprev: Literal["enforce", "mark"] = "mark"
    lists: Literal["enforce", "mark"] = "enforce"
    rspamd: Literal["enforce", "mark"] = "enforce"
    temporary: Literal["defer", "mark"] = "defer"
    greylist: Literal["on", "off"] = "off"
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
    """`[greylist]`, for the domains whose policy says `greylist = "on"`; seconds.

    Who comes for the first time comes again after `delay` and within `window`, and is then known as long as it
    comes every `lifetime`. It is told by prefixes of its address, by its reverse-path (`sender`: its domain, or the whole
    address), and by the domain of the recipient; of `most` of them at a time.
    """

    delay: float = 300.0
    window: float = 172_800.0
    lifetime: float = 3_110_400.0
    sender: Literal["domain", "address"] = "domain"
    prefix4: int = 24
    prefix6: int = 64
    most: int = 200_000


class CallAheadSettings(Strict, frozen=True):
    """`[call_ahead]`, for domains with `call_ahead`: whom the next hop knows is asked of it; seconds.

    An answer holds for `positive` or `negative`. Where the next hop does not answer within `timeout`, who was known
    within `stale` still is; what becomes of others is `unreachable`.
    """

    positive: float = 86_400.0
    negative: float = 3600.0
    stale: float = 604_800.0
    timeout: float = 15.0
    unreachable: Literal["defer", "accept"] = "defer"
    most: int = 20_000
