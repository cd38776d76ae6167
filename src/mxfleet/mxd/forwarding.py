"""Mail that goes on to another domain, and the bounces that come back to the reverse-path it was given (SRS)."""

from typing import Final

import msgspec

from mxfleet.mail.address import Mailbox, ReversePath
from mxfleet.mail.reply import Reply
from mxfleet.mail.srs import Rewriter, SrsError, is_rewritten
from mxfleet.mxd import policy
from mxfleet.mxd.directory import Directory
from mxfleet.mxd.routing_settings import ForwardingSettings

NOT_REWRITTEN_HERE: Final = Reply(550, "5.1.1", "No such mailbox here: not rewritten by us, or too long ago")
ONLY_BOUNCES: Final = Reply(
    550, "5.7.1", "This address takes delivery reports only, from the null reverse-path"
)
TOO_LONG: Final = Reply(550, "5.1.7", "Your address is too long to be forwarded")
DAY: Final = 86_400


class Forwarding(msgspec.Struct, frozen=True):
    """Rewrites for one domain of ours."""

    rewriter: Rewriter

    @classmethod
    def of(cls, settings: ForwardingSettings, keys: bytes) -> "Forwarding":
        """With the content of the key file, white space between keys; raises SrsError for keys that could be guessed."""
        return cls(Rewriter(settings.domain, tuple(keys.split()), settings.days))

    def rewritten(self, sender: ReversePath, now: float) -> ReversePath | Reply:
        """The reverse-path under which mail goes on, or why it cannot."""
        try:
            return self.rewriter.forward(sender, now)
        except SrsError:
            return TOO_LONG

    def is_ours(self, mailbox: Mailbox) -> bool:
        """Whether it is, or pretends to be, a reverse-path of ours."""
        return mailbox.domain == self.rewriter.domain and is_rewritten(mailbox)

    def returned(self, mailbox: Mailbox, sender: ReversePath, now: float) -> Mailbox | Reply:
        """Whom a bounce goes back to; anything but a bounce is refused, or it would be a way to relay."""
        try:
            back = self.rewriter.reverse(mailbox, now)
        except SrsError:
            return NOT_REWRITTEN_HERE
        return back if sender is None else ONLY_BOUNCES


def recipient(
    directory: Directory,
    forwarding: Forwarding | None,
    mailbox: Mailbox,
    sender: ReversePath,
    now: float,
    *,
    authenticated: bool,
) -> tuple[Mailbox, tuple[Mailbox, ...] | Reply]:
    """Who is meant, and where mail for him goes, forwards and what they bring back included, or why it is refused.

    Who is meant by a reverse-path of ours is whom it brings bounces back to.
    """
    if forwarding is not None and forwarding.is_ours(mailbox):
        found = forwarding.returned(mailbox, sender, now)
        if isinstance(found, Reply):
            return mailbox, found
        mailbox = found
        if not directory.has(mailbox.domain):
            return mailbox, (mailbox,)
    resolved = policy.recipient(directory, mailbox, authenticated=authenticated)
    if isinstance(resolved, Reply) or authenticated or all(directory.has(one.domain) for one in resolved):
        return mailbox, resolved
    if forwarding is None:  # cannot be: the settings were refused
        return mailbox, policy.RELAYING_DENIED
    rewritten = forwarding.rewritten(sender, now)
    return mailbox, rewritten if isinstance(rewritten, Reply) else resolved


def reverse_path(
    directory: Directory,
    forwarding: Forwarding | None,
    sender: ReversePath,
    to: tuple[Mailbox, ...],
    now: float,
) -> str:
    """The reverse-path of mail from elsewhere for those of its recipients who are elsewhere; "" where it stays."""
    if forwarding is None or all(directory.has(mailbox.domain) for mailbox in to):
        return ""
    found = forwarding.rewritten(sender, now)
    return "" if found is None or isinstance(found, Reply) or found == sender else str(found)
