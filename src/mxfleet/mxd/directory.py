"""Who has a mailbox here: listed recipients, aliases, the postmaster; and whose policy applies to their mail."""

from collections.abc import Mapping

import msgspec

from mxfleet.mail.address import Mailbox, parse_mailbox
from mxfleet.mxd.aliases import CATCH_ALL, Aliases, expand
from mxfleet.mxd.receiving_settings import PolicySettings
from mxfleet.mxd.rules import Rules
from mxfleet.mxd.settings import Settings

COMMON = Rules(PolicySettings())


class Directory(msgspec.Struct, frozen=True):
    """Canonical local parts by domain, what aliases stand for in the end, and where mail to the postmaster goes."""

    domains: Mapping[str, frozenset[str]]
    postmaster: Mailbox | None
    aliases: Mapping[str, Aliases] = {}
    rules: Mapping[str, Rules] = {}
    common: Rules = COMMON

    @classmethod
    def of(cls, settings: Settings, aliases: Mapping[str, Aliases] | None = None) -> "Directory":
        """The directory that the settings describe, with the alias files' content by domain.

        Raises AddressError for a bad postmaster, SettingsError for an alias that leads nowhere and for a
        policy that cannot be read.
        """
        domains = {d.name: frozenset(r.lower() for r in d.recipients) for d in settings.domain}
        given = aliases or {}
        expanded = {
            domain: {alias: expand(alias, domain, given, domains) for alias in names}
            for domain, names in given.items()
        }
        common = Rules.of(settings.policy)
        postmaster = settings.service.postmaster
        return cls(
            domains,
            parse_mailbox(postmaster) if postmaster else None,
            expanded,
            {d.name: common if d.policy is None else Rules.of(d.policy) for d in settings.domain},
            common,
        )

    def resolve(self, mailbox: Mailbox) -> tuple[Mailbox, ...]:
        """The mailboxes that stand for this one here, none if the domain is not ours or nobody has it.

        Postmaster is somebody in every domain, and without one (RFC 5321 §4.5.1).
        """
        local, domain = mailbox.local.lower(), mailbox.domain
        known = self.domains.get(domain)
        if known is not None and local in known:
            return (mailbox,)
        aliases = self.aliases.get(domain)
        if aliases is not None and (found := aliases.get(local)):
            return found
        if local == "postmaster" and (known is not None or not domain):
            return (self.postmaster,) if self.postmaster else ()
        return aliases.get(CATCH_ALL, ()) if aliases is not None else ()

    def rules_of(self, mailbox: Mailbox) -> Rules:
        """The policy for mail to one of our mailboxes; that for no domain in particular is the postmaster's."""
        domain = mailbox.domain or (self.postmaster.domain if self.postmaster else "")
        return self.rules.get(domain, self.common)
