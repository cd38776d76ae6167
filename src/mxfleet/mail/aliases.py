"""Who an address stands for: mailboxes, aliases, catch-alls, subaddresses (RFC 5233), forwards; as a pure function.

A domain may be another name of a second one (`rewrite_to`): then its addresses are those of the same local part there.

Postmaster and unknown domains are not decided here; a target in a domain that is not ours is a forward.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol

from mxfleet.mail.address import Mailbox

MAX_DESTINATIONS: Final = 1000  # of one address; more is a mistake
MAX_DEPTH: Final = 20  # aliases of aliases


@dataclass(frozen=True, slots=True)
class Names:
    """What is known of one domain; keys are canonical local parts (`key_of`)."""

    mailboxes: frozenset[str]
    aliases: Mapping[str, tuple[Mailbox, ...]] = field(default_factory=dict)
    catch_all: tuple[Mailbox, ...] = ()
    separator: str = "+"  # between name and detail; "": there are no details
    rewrite_to: str = ""  # the domain whose other name this is


class Domains(Protocol):
    """What is known of our domains, by name; a mapping is one."""

    def get(self, domain: str, /) -> Names | None:
        """The names in a domain, None where it is not ours."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where mail goes in the end.

    `mailbox` is as it was addressed, detail included; `owner` is the mailbox without it, which is what exists.
    `through` are the aliases that led here; `forwarded` says that it is not in one of our domains.
    """

    mailbox: Mailbox
    owner: Mailbox
    through: tuple[Mailbox, ...] = ()
    forwarded: bool = False


@dataclass(frozen=True, slots=True)
class Resolution:
    """All destinations, each owner once, in order; what leads nowhere; aliases that lead back to themselves.

    `too_many`: not all were followed (MAX_DESTINATIONS, MAX_DEPTH).

    No destination at all means that there is no such address.
    """

    destinations: tuple[Destination, ...]
    nowhere: tuple[Mailbox, ...] = ()
    circles: tuple[Mailbox, ...] = ()
    too_many: bool = False


def split_detail(local: str, separator: str) -> tuple[str, str]:
    """Name and detail of a local part (RFC 5233 §4): `alice+lists` is `alice` and `lists`.

    A local part that begins with the separator has no detail.
    """
    if not separator:
        return local, ""
    name, found, detail = local.partition(separator)
    return (name, detail) if name and found else (local, "")


@lru_cache(maxsize=1024)
def key_of(local: str) -> str:
    """The key under which a local part is looked up."""
    return Mailbox(local, "").canonical


def resolve(address: Mailbox, domains: Domains) -> Resolution:
    """Who stands behind an address of one of `domains`; aliases are looked at before mailboxes of the same name.

    An alias that names itself means the mailbox of that name, as in `alice: alice, archive`.
    """
    search = _Search(domains)
    search.follow(address, ())
    return Resolution(
        tuple(search.found.values()),
        tuple(dict.fromkeys(search.nowhere)),
        tuple(dict.fromkeys(search.circles)),
        search.too_many,
    )


class _Search:
    def __init__(self, domains: Domains) -> None:
        self._domains = domains
        self._followed: set[tuple[str, str]] = set()
        self.found: dict[str, Destination] = {}
        self.nowhere: list[Mailbox] = []
        self.circles: list[Mailbox] = []
        self.too_many = False

    def follow(self, address: Mailbox, through: tuple[Mailbox, ...]) -> None:
        if len(self.found) >= MAX_DESTINATIONS or len(through) > MAX_DEPTH:
            self.too_many = True
            return
        names = self._domains.get(address.domain)
        if names is None:
            self._add(Destination(address, address, through, forwarded=True))
            return
        if names.rewrite_to:
            self.follow(Mailbox(address.local, names.rewrite_to), (*through, address))
            return
        for local in _candidates(address.local, names):
            key, owner = key_of(local), Mailbox(local, address.domain)
            own = any(alias.canonical == owner.canonical for alias in through)
            if key in names.aliases and not own:
                self._expand(owner, names.aliases[key], through)
                return
            if key in names.mailboxes:
                self._add(Destination(address, owner, through))
                return
            if key in names.aliases:
                self.circles.append(owner)
                return
        everybody_else = Mailbox("", address.domain)
        if names.catch_all and everybody_else not in through:
            self._expand(everybody_else, names.catch_all, through)
        else:
            self.nowhere.append(address)

    def _expand(self, alias: Mailbox, targets: tuple[Mailbox, ...], through: tuple[Mailbox, ...]) -> None:
        key = (alias.domain, key_of(alias.local))
        if key in self._followed:  # another way to the same alias: everybody behind it is found already
            return
        self._followed.add(key)
        for target in targets:
            self.follow(target, (*through, alias))

    def _add(self, destination: Destination) -> None:
        self.found.setdefault(destination.owner.canonical, destination)


def _candidates(local: str, names: Names) -> Iterator[str]:
    """The whole local part first: a name with the separator in it may be listed."""
    yield local
    name, detail = split_detail(local, names.separator)
    if detail or name != local:
        yield name
