"""What is taken and what is refused, as pure decisions: None is yes, a Reply is no and says why.

Nothing here looks at a clock or a socket.
"""

from typing import Final

from mxfleet.errors import AddressError
from mxfleet.mail.address import Mailbox, ReversePath, parse_mailbox
from mxfleet.mail.dnsbl import Listing
from mxfleet.mail.iprev import Iprev
from mxfleet.mail.questions import Address
from mxfleet.mail.reply import Reply
from mxfleet.mxd.directory import Directory as Directory
from mxfleet.mxd.rules import Rules

NO_SUCH_MAILBOX: Final = Reply(550, "5.1.1", "No such mailbox here")  # RFC 3463 §3.2
RELAYING_DENIED: Final = Reply(550, "5.7.1", "Relaying denied")
NOT_YOUR_ADDRESS: Final = Reply(553, "5.7.1", "This account may not send as that address")
NOT_YOUR_FROM: Final = Reply(550, "5.7.1", "This account may not send as the address in From:")
TOO_MANY_HOPS: Final = Reply(554, "5.4.6", "Too many hops: this message goes in circles")
TOO_BIG: Final = Reply(552, "5.3.4", "Message is larger than this server accepts")
# One transaction has one policy, for its final dot has one reply; RFC 5321 §4.5.3.1.10 makes the client go on.
OTHER_POLICY: Final = Reply(
    452, "4.5.3", "This recipient has another policy: send it in a transaction of its own"
)
MAX_HOPS: Final = 50  # RFC 5321 §6.3 asks for at least 100 in general, 50 is what the Internet lives with
MAX_OWN_HOPS: Final = (
    5  # a list and a forward each bring a message back once; what comes back more often circles
)


def recipient(directory: Directory, mailbox: Mailbox, *, authenticated: bool) -> tuple[Mailbox, ...] | Reply:
    """Where mail for a recipient goes, or why it is refused."""
    if resolved := directory.resolve(mailbox):
        return resolved
    if not mailbox.domain or directory.has(mailbox.domain):
        return NO_SUCH_MAILBOX
    return (mailbox,) if authenticated else RELAYING_DENIED


def client(
    address: Address, iprev: Iprev | None, listings: tuple[Listing, ...], rules: Rules
) -> Reply | None:
    """Whether a client may send anything at all to a domain with these rules."""
    settings = rules.settings
    if rules.exempts(address):
        return None
    listed = next((found for found in listings if found.result == "listed"), None)
    if listed is not None and settings.lists == "enforce":
        return Reply(550, "5.7.1", f"{address} is listed by {listed.zone}: {', '.join(listed.meanings)}")
    if iprev is None or settings.iprev != "enforce":
        return None
    if iprev.result in ("fail", "permerror"):  # RFC 7372 §3.3
        return Reply(550, "5.7.25", f"No proved name for {address}: {iprev.reason}")
    if iprev.result == "temperror" and settings.temporary == "defer":
        return Reply(451, "4.7.25", f"The name of {address} is not known for now: {iprev.reason}")
    return None


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


def hops(received: int, own: int = 0) -> Reply | None:
    """Whether a message has been through too many hosts (RFC 5321 §6.3), or through ours too often (`own`)."""
    return TOO_MANY_HOPS if received > MAX_HOPS or own > MAX_OWN_HOPS else None
