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
