"""Who has a mailbox here: listed recipients, aliases, the postmaster; and whose policy applies to their mail.

`mail.aliases` says who an address stands for; what of it leads nowhere is refused when the settings are read.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from mxfleet.errors import AddressError, SettingsError
from mxfleet.mail import aliases
from mxfleet.mail.address import Mailbox, parse_mailbox
from mxfleet.mail.aliases import Names, key_of
from mxfleet.mxd.receiving_settings import PolicySettings
from mxfleet.mxd.rules import Rules
from mxfleet.mxd.settings import DomainSettings, Settings
from mxfleet.mxd.wildcards import Wildcards

COMMON = Rules(PolicySettings())
POSTMASTER: Final = "postmaster"


class Directory(msgspec.Struct, frozen=True):
    """What is known of our domains, where mail to the postmaster goes, and whose rules apply."""

    names: Wildcards[Names]
    postmaster: tuple[Mailbox, ...] = ()
    rules: Wildcards[Rules] = msgspec.field(default_factory=lambda: Wildcards[Rules]({}))
    common: Rules = COMMON
    asked: Wildcards[bool] = msgspec.field(default_factory=lambda: Wildcards[bool]({}))

    @classmethod
    def of(cls, settings: Settings) -> "Directory":
        """The directory that the settings describe.

        Raises AddressError for a bad postmaster, SettingsError for an alias that leads nowhere and for a
        policy that cannot be read.
        """
        known = {name: _names(domain) for domain in settings.domain for name in domain.names}
        names = Wildcards(known)
        _refuse_wrong(settings, names)
        common = Rules.of(settings.policy)
        rules = {
            name: common if domain.policy is None else Rules.of(domain.policy)
            for domain in settings.domain
            for name in domain.names
        }
        postmaster = settings.service.postmaster
        found: tuple[Mailbox, ...] = ()
        if postmaster:
            mailbox = parse_mailbox(postmaster)
            found = _destinations(mailbox, names)
            if not found and mailbox.is_postmaster:
                found = (mailbox,)
        asked = {name: True for domain in settings.domain if domain.call_ahead for name in domain.names}
        return cls(names, found, Wildcards(rules), common, Wildcards(asked))

    @classmethod
    def listing(cls, domains: Mapping[str, frozenset[str]], postmaster: Mailbox | None = None) -> "Directory":
        """One of mailboxes alone."""
        names = {name: Names(mailboxes, separator="") for name, mailboxes in domains.items()}
        return cls(Wildcards(names), (postmaster,) if postmaster else ())

    def has(self, domain: str) -> bool:
        """Whether we receive for a canonical domain."""
        return self.names.get(domain) is not None

    def resolve(self, mailbox: Mailbox) -> tuple[Mailbox, ...]:
        """Who stands behind an address of ours, in the end and perhaps elsewhere; none if nobody has it.

        Postmaster is somebody in every domain, and without one (RFC 5321 §4.5.1).
        """
        names = self.names.get(mailbox.domain)
        if names is None:
            return self.postmaster if not mailbox.domain and mailbox.is_postmaster else ()
        key = key_of(mailbox.local)
        if names.rewrite_to:
            return self.resolve(Mailbox(mailbox.local, names.rewrite_to))
        if key not in names.aliases:
            if key in names.mailboxes:
                return (mailbox,)
            if key == POSTMASTER:
                return self.postmaster
        return _destinations(mailbox, self.names)

    def to_be_asked_about(self, mailbox: Mailbox) -> Mailbox | None:
        """The mailbox about which the next hop of its domain is to be asked, where the lists here do not know it."""
        names = self.names.get(mailbox.domain)
        if names is not None and names.rewrite_to:
            mailbox = Mailbox(mailbox.local, names.rewrite_to)
        return mailbox if self.asked.get(mailbox.domain) else None

    def forwards(self) -> Iterator[Mailbox]:
        """Targets of aliases that are in domains of others."""
        for names in self.names.values():
            for targets in (*names.aliases.values(), names.catch_all):
                yield from (target for target in targets if not self.has(target.domain))

    def rules_of(self, mailbox: Mailbox) -> Rules:
        """The policy for mail to one of our mailboxes; that for no domain in particular is the postmaster's."""
        domain = mailbox.domain or (self.postmaster[0].domain if self.postmaster else "")
        return self.rules.get(domain) or self.common


def _destinations(mailbox: Mailbox, names: aliases.Domains) -> tuple[Mailbox, ...]:
    return tuple(found.mailbox for found in aliases.resolve(mailbox, names).destinations)


def _names(domain: DomainSettings) -> Names:
    return Names(
        mailboxes=frozenset(key_of(local) for local in domain.recipients),
        aliases={
            key_of(alias): _targets(alias, targets, domain) for alias, targets in domain.aliases.items()
        },
        catch_all=_targets("*", domain.catch_all, domain),
        separator=domain.separator,
        rewrite_to=domain.rewrite_to,
    )


def _targets(alias: str, targets: tuple[str, ...], domain: DomainSettings) -> tuple[Mailbox, ...]:
    """Mailboxes, or just local parts in the same domain."""
    try:
        return tuple(parse_mailbox(t if "@" in t else f"{t}@{domain.name}") for t in targets)
    except AddressError as error:
        raise SettingsError(f"alias {alias} of {domain.name}: {error}") from error


def _refuse_wrong(settings: Settings, names: Wildcards[Names]) -> None:
    problems = [problem for domain in settings.domain for problem in _wrong(domain, names)]
    if problems:
        raise SettingsError("\n".join(problems))


def _wrong(domain: DomainSettings, names: Wildcards[Names]) -> Iterator[str]:
    """What of a domain's names leads nowhere, one line each."""
    if domain.rewrite_to:
        known = names.get(domain.rewrite_to)
        if known is None or known.rewrite_to:
            yield f"[[domain]] {domain.name}: rewrite_to {domain.rewrite_to} is no domain of ours with mailboxes"
        return
    if len(domain.separator) > 1:
        yield f"[[domain]] {domain.name}: separator {domain.separator!r} is not one character"
    for alias in domain.aliases:
        yield from _astray(f"alias {alias} of {domain.name}", Mailbox(alias, domain.name), names)
    for target in _targets("*", domain.catch_all, domain):
        yield from _astray(f"catch-all of {domain.name}", target, names)


def _astray(called: str, address: Mailbox, names: Wildcards[Names]) -> Iterator[str]:
    found = aliases.resolve(address, names)
    for target in found.nowhere:
        yield f"{called}: {target} is nobody's mailbox here"
    for circle in found.circles:
        yield f"{called}: leads in a circle by {circle}"
    if found.too_many:
        yield f"{called}: leads to more than {aliases.MAX_DESTINATIONS} others, or by more than {aliases.MAX_DEPTH}"
    elif not (found.destinations or found.nowhere or found.circles):
        yield f"{called}: leads to nobody"
