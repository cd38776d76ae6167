"""Sender rewriting (SRS): a forwarder puts its own domain into the reverse-path, and bounces find their way back.

    alice@a.test         through f.test   SRS0=<hash>=<day>=a.test=alice@f.test
    SRS0=…@f.test        through g.test   SRS1=<hash>=f.test==…@g.test     (and so it stays, however many follow)

There is no RFC; this is the scheme of Meng Weng Wong and Shevek (2003) that other forwarders know, who need to
recognise only the shape. The hash is ours alone: HMAC-SHA-256, cut to 30 bits, compared without case because some
hosts change it. Without it everybody could send to anybody through us.
"""

import hmac
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from mxfleet.errors import AddressError
from mxfleet.mail.address import MAX_PATH, Mailbox, ReversePath, parse_domain

DAY: Final = 86_400
_CYCLE: Final = 1024  # days until a date comes again: two characters of base32
_HASH: Final = 6
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_SRS0 = re.compile(r"SRS0[-=+]([A-Za-z2-7]{6})=([A-Za-z2-7]{2})=([^=@]+)=(.*)", re.IGNORECASE | re.DOTALL)
_SRS1 = re.compile(r"SRS1[-=+]([A-Za-z2-7]{6})=([^=@]+)=([-=+].*)", re.IGNORECASE | re.DOTALL)
_ANY_SRS0 = re.compile(r"SRS0([-=+].+)", re.IGNORECASE | re.DOTALL)
_ANY_SRS1 = re.compile(r"SRS1[-=+][^=]+=([^=@]+)=([-=+].*)", re.IGNORECASE | re.DOTALL)


class SrsError(AddressError):
    """An address that was not rewritten by us, or too long ago, or that cannot be rewritten."""


@dataclass(frozen=True, slots=True)
class Rewriter:
    """One forwarding domain; the first key signs, all of them verify, so that keys can be changed.

    `domain` is the canonical name of a domain whose bounces reach us; `days` is how old an address may be, and
    must exceed the time that any host keeps mail in its queue.
    """

    domain: str
    keys: tuple[bytes, ...]
    days: int = 21

    def __post_init__(self) -> None:
        """Refuse keys that could be guessed."""
        if not self.keys or min(map(len, self.keys)) < 16:
            raise SrsError("SRS needs at least one key, of 16 octets or more")

    def forward(self, sender: ReversePath, now: float) -> ReversePath:
        """The reverse-path under which a message is sent on; SrsError where it would get too long.

        The null path stays; so does what is ours already.
        """
        if sender is None or sender.domain == self.domain:
            return sender
        if found := _ANY_SRS1.fullmatch(sender.local):
            return self._srs1(found[1], found[2])
        if found := _ANY_SRS0.fullmatch(sender.local):
            return self._srs1(sender.domain, found[1])
        day = _day(now)
        signed = f"{day}={sender.domain}={sender.local}"
        return self._mailbox(f"SRS0={self._hash(self.keys[0], signed)}={signed}")

    def reverse(self, recipient: Mailbox, now: float) -> Mailbox:
        """Where a bounce to a rewritten address goes on to; SrsError where the address is not from us."""
        if found := _SRS0.fullmatch(recipient.local):
            code, day, domain, local = found.groups()
            self._verify(code, f"{day}={domain}={local}")
            if not _is_recent(day, now, self.days):
                raise SrsError(f"{recipient}: rewritten more than {self.days} days ago")
            return Mailbox(local, parse_domain(domain))
        if found := _SRS1.fullmatch(recipient.local):
            code, domain, rest = found.groups()
            self._verify(code, f"{domain}={rest}")
            return Mailbox(f"SRS0{rest}", parse_domain(domain))
        raise SrsError(f"{recipient}: not an address that was rewritten here")

    def _srs1(self, domain: str, rest: str) -> Mailbox:
        signed = f"{domain.lower()}={rest}"
        return self._mailbox(f"SRS1={self._hash(self.keys[0], signed)}={signed}")

    def _mailbox(self, local: str) -> Mailbox:
        mailbox = Mailbox(local, self.domain)
        if len(str(mailbox).encode("utf-8")) + 2 > MAX_PATH:
            raise SrsError(f"{mailbox}: too long to be a reverse-path (RFC 5321 §4.5.3.1.3)")
        return mailbox

    def _verify(self, code: str, signed: str) -> None:
        given = code.upper()
        if not any(hmac.compare_digest(given, self._hash(key, signed)) for key in self.keys):
            raise SrsError("an address that looks rewritten, and is not from us")

    def _hash(self, key: bytes, signed: str) -> str:
        digest = hmac.digest(key, f"{self.domain}\0{signed}".lower().encode("utf-8"), sha256)
        return "".join(_ALPHABET[octet & 31] for octet in digest[:_HASH])


def is_rewritten(mailbox: Mailbox) -> bool:
    """Whether it has the shape of SRS0 or SRS1, from whomever."""
    return _ANY_SRS0.fullmatch(mailbox.local) is not None or _ANY_SRS1.fullmatch(mailbox.local) is not None


def _day(now: float) -> str:
    day = int(now // DAY) % _CYCLE
    return _ALPHABET[day >> 5] + _ALPHABET[day & 31]


def _is_recent(day: str, now: float, days: int) -> bool:
    high, low = (_ALPHABET.index(character) for character in day.upper())
    age = (int(now // DAY) - (high << 5 | low)) % _CYCLE
    return age <= days or age == _CYCLE - 1  # another node's clock may be a day ahead
