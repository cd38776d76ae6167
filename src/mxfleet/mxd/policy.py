"""What is taken and what is refused, as pure decisions: None is yes, a Reply is no and says why.

The issue on receiving adds evidence (SPF, DKIM, DMARC …) beside these; nothing here looks at a clock or a socket.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from mxfleet.errors import AddressError
from mxfleet.mail.address import Mailbox, ReversePath, parse_mailbox
from mxfleet.mail.reply import Reply
from mxfleet.mxd.settings import Settings

NO_SUCH_MAILBOX: Final = Reply(550, "5.1.1", "No such mailbox here")  # RFC 3463 §3.2
RELAYING_DENIED: Final = Reply(550, "5.7.1", "Relaying denied")
NOT_YOUR_ADDRESS: Final = Reply(553, "5.7.1", "This account may not send as that address")
NOT_YOUR_FROM: Final = Reply(550, "5.7.1", "This account may not send as the address in From:")
TOO_MANY_HOPS: Final = Reply(554, "5.4.6", "Too many hops: this message goes in circles")
TOO_BIG: Final = Reply(552, "5.3.4", "Message is larger than this server accepts")
MAX_HOPS: Final = 50  # RFC 5321 §6.3 asks for at least 100 in general, 50 is what the Internet lives with


class Directory(msgspec.Struct, frozen=True):
    """Who has a mailbox here: canonical local parts by domain, and where mail to the postmaster goes."""

    domains: Mapping[str, frozenset[str]]
    postmaster: Mailbox | None

    @classmethod
    def of(cls, settings: Settings) -> "Directory":
        """The directory that the settings describe; raises AddressError for a bad postmaster."""
        domains = {d.name: frozenset(r.lower() for r in d.recipients) for d in settings.domain}
        postmaster = settings.service.postmaster
        return cls(domains, parse_mailbox(postmaster) if postmaster else None)

    def resolve(self, mailbox: Mailbox) -> Mailbox | None:
        """The mailbox that stands for this one here, None if the domain is not ours or nobody has it.

        Postmaster is somebody in every domain, and without one (RFC 5321 §4.5.1).
        """
        local = mailbox.local.lower()
        known = self.domains.get(mailbox.domain)
        if known is not None and local in known:
            return mailbox
        if local == "postmaster" and (known is not None or not mailbox.domain):
            return self.postmaster
        return None


def recipient(directory: Directory, mailbox: Mailbox, *, authenticated: bool) -> Mailbox | Reply:
    """Where mail for a recipient goes, or why it is refused."""
    resolved = directory.resolve(mailbox)
    if resolved is not None:
        return resolved
    if not mailbox.domain or mailbox.domain in directory.domains:
        return NO_SUCH_MAILBOX
    return mailbox if authenticated else RELAYING_DENIED


def sender(reverse_path: ReversePath, may_send_as: frozenset[str]) -> Reply | None:
    """Whether an account may use this reverse-path.

    The null one is allowed: user agents send disposition notifications with it (RFC 8098 §3); what its From:
    says is looked at in `author`.
    """
    if reverse_path is None or reverse_path.canonical in may_send_as:
        return None
    return NOT_YOUR_ADDRESS


def author(addresses: tuple[str, ...], may_send_as: frozenset[str]) -> Reply | None:
    """Whether an account may say that a message is from these (RFC 6409 §6.1, §8.1): all must be its own."""
    for address in addresses:
        try:
            known = parse_mailbox(address).canonical in may_send_as
        except AddressError:
            known = False
        if not known:
            return NOT_YOUR_FROM
    return None if addresses else Reply(550, "5.6.0", "From: has no address")


def hops(received: int) -> Reply | None:
    """Whether a message has been through too many hosts to be still on its way (RFC 5321 §6.3)."""
    return TOO_MANY_HOPS if received > MAX_HOPS else None
