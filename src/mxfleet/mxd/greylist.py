"""Greylisting as a decision: who comes for the first time is asked to come again, and who does so is known from then on.

A real mail host tries again (RFC 5321 §4.5.4.1), much of what sends spam does not. Nothing here knows a clock.
"""

from hashlib import blake2b
from ipaddress import ip_network

import msgspec

from mxfleet.mail.evidence import Evidence
from mxfleet.mail.reply import Reply
from mxfleet.mxd.receiving_settings import GreylistSettings
from mxfleet.mxd.rules import Rules


class Entry(msgspec.Struct, frozen=True):
    """What is remembered of a sender: when it came first and last (seconds since 1970), and whether it is known."""

    first: float
    last: float
    known: bool = False


class Verdict(msgspec.Struct, frozen=True):
    """Seconds to wait, 0 for none, and what is to be remembered."""

    wait: float
    entry: Entry


def applies(evidence: Evidence, rules: Rules) -> bool:
    """Whether a message is to be greylisted: not where its author's domain answers for it, or its client is exempt."""
    if rules.settings.greylist == "off" or rules.exempts(evidence.address):
        return False
    return evidence.dmarc is None or evidence.dmarc.result != "pass"


def decide(entry: Entry | None, now: float, settings: GreylistSettings) -> Verdict:
    """What becomes of a message of whom this is remembered."""
    if entry is None or now < entry.first:
        return _anew(now, settings)
    if entry.known:
        return (
            Verdict(0.0, Entry(entry.first, now, known=True))
            if now - entry.last <= settings.lifetime
            else _anew(now, settings)
        )
    waited = now - entry.first
    if waited > settings.window:
        return _anew(now, settings)
    if waited < settings.delay:
        return Verdict(settings.delay - waited, Entry(entry.first, now))
    return Verdict(0.0, Entry(entry.first, now, known=True))


def _anew(now: float, settings: GreylistSettings) -> Verdict:
    return Verdict(settings.delay, Entry(now, now, known=settings.delay <= 0))


def keys(evidence: Evidence, recipients: tuple[str, ...], settings: GreylistSettings) -> tuple[bytes, ...]:
    """Under which a message is remembered: client's prefix, sender, and each domain that it is for.

    Many hosts of one sender try in turn, and lists change the local part each time.
    """
    address = evidence.address
    bits = settings.prefix4 if address.version == 4 else settings.prefix6
    prefix = ip_network((address, bits), strict=False)
    sender = evidence.sender.lower()
    if settings.sender == "domain":
        sender = sender.rpartition("@")[2]
    domains = dict.fromkeys(recipient.rpartition("@")[2].lower() for recipient in recipients)
    words = (f"{prefix}\0{sender}\0{domain}" for domain in domains)
    return tuple(blake2b(word.encode("utf-8", "replace"), digest_size=16).digest() for word in words)


def reply(wait: float, trace: str) -> Reply:
    """Not now (RFC 6647), with the time to come again."""
    return Reply(451, "4.7.1", f"Greylisted: try again in {max(1, round(wait))} seconds ({trace})")
