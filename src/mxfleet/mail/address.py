"""Mailboxes, paths and domains of RFC 5321 §4.1.2, as values that compare the way mail compares.

A domain is kept in its canonical form: lower case, A-labels (RFC 5890), no trailing dot; an address literal
as `[192.0.2.1]` or `[IPv6:2001:db8::1]`. A local part is kept as what it means, without its quoting; it may hold
more than ASCII (RFC 6531 §3.3), and whoever sends it must see that the other side takes that.
"""

import re
from dataclasses import dataclass, field
from encodings import idna
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias
from unicodedata import normalize

from mxfleet.errors import AddressError

# RFC 5321 §4.5.3.1.2, §4.5.3.1.3, in octets. The 64 of a local part (§4.5.3.1.1) are what everybody must take, not
# what nobody may exceed: bounce addresses of bulk mail and SRS do, and refusing them would lose their mail.
MAX_DOMAIN: Final = 255
MAX_PATH: Final = 256

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++"
# RFC 6531 §3.3: UTF8-non-ascii, here without controls and line ends (C1, U+2028, U+2029); no surrogates.
_BEYOND = "\u00a0-\u2027\u202a-\ud7ff\ue000-\U0010ffff"
_WIDE_ATOM = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{_BEYOND}-]++"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOT_STRING = re.compile(rf"{_WIDE_ATOM}(?:\.{_WIDE_ATOM})*+")
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_MAILBOX = re.compile(rf"({_ATOM}(?:\.{_ATOM})*+)@({_LABEL}(?:\.{_LABEL})*)")
_QUOTED = re.compile(rf'"((?:[ !#-\[\]-~{_BEYOND}]|\\[ -~])*+)"@(.*)', re.DOTALL)
_PAIR = re.compile(r"\\(.)")
_SOURCE_ROUTE = re.compile(rf"@{_LABEL}(?:\.{_LABEL})*(?:,@{_LABEL}(?:\.{_LABEL})*)*:")
_FULL_STOPS = re.compile("[.\u3002\uff0e\uff61]")  # RFC 3490 §3.1
# IDNA 2003 and 2008 disagree on these (RFC 5895, UTS 46 "deviations"), so that one domain would be two.
_DEVIATIONS = frozenset("ßς\u200c\u200d")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox: local part (unquoted) and canonical domain.

    The domain is "" for the one mailbox that has none, `<postmaster>` (RFC 5321 §4.1.1.3).
    Equality is RFC 5321 §2.4: domains without case, local parts with it.
    """

    local: str
    domain: str
    _text: str = field(init=False, repr=False, compare=False)  # for each is written many times

    def __post_init__(self) -> None:
        """Write it once."""
        local = self.local if _DOT_STRING.fullmatch(self.local) else _quote(self.local)
        object.__setattr__(self, "_text", f"{local}@{self.domain}" if self.domain else local)

    def __str__(self) -> str:
        """As it stands between angle brackets; the local part is quoted only where it must be."""
        return self._text

    @property
    def canonical(self) -> str:
        """The key under which lists look it up: as `str`, but without case, and composed (RFC 6532 §3.1)."""
        key = str(self).lower()
        return key if key.isascii() else normalize("NFC", key)

    @property
    def is_ascii(self) -> bool:
        """Whether it can be said without SMTPUTF8; its domain always can, in A-labels (RFC 6531 §3.2)."""
        return self.local.isascii()

    @property
    def is_postmaster(self) -> bool:
        """Whether it is the `postmaster` that every domain must accept (RFC 5321 §4.5.1)."""
        return self.local.lower() == "postmaster"


ReversePath: TypeAlias = Mailbox | None
"""Where failures are reported: a mailbox, or None for the null reverse-path `<>` (RFC 5321 §4.5.5)."""

POSTMASTER: Final = Mailbox("postmaster", "")


@lru_cache(maxsize=4096)
def parse_mailbox(text: str) -> Mailbox:
    """The mailbox that `text` is; AddressError says which rule it breaks (RFC 5321 §4.1.2).

    A domain may be given in U-labels and a local part in UTF-8 (RFC 6531 §3.3).
    """
    if match := _MAILBOX.fullmatch(text):
        return _within_limits(text, match[1], match[1], match[2].lower())
    if text.startswith('"'):
        quoted = _QUOTED.fullmatch(text)
        if quoted is None:
            raise AddressError(f"mailbox {text!r}: the quoted local part is not well formed")
        local = _PAIR.sub(r"\1", quoted[1])
        return _within_limits(text, f'"{quoted[1]}"', local, parse_domain(quoted[2]))
    local, at, domain = text.rpartition("@")
    if not at:
        raise AddressError(f"mailbox {text!r}: it has no domain")
    if not _DOT_STRING.fullmatch(local):
        raise AddressError(f"mailbox {text!r}: the local part is not a dot-string or a quoted string")
    return _within_limits(text, local, local, parse_domain(domain))


def parse_reverse_path(inner: str) -> ReversePath:
    """What stands between the brackets of MAIL FROM:<…>; None for the null reverse-path."""
    return parse_mailbox(_without_route(inner)) if inner else None


def parse_forward_path(inner: str) -> Mailbox:
    """What stands between the brackets of RCPT TO:<…>; a bare `postmaster` is one (RFC 5321 §4.1.1.3)."""
    if inner.lower() == "postmaster":
        return POSTMASTER
    return parse_mailbox(_without_route(inner))


@lru_cache(maxsize=4096)
def parse_domain(text: str) -> str:
    """The canonical form of a domain or an address literal; AddressError where it is neither."""
    if text.startswith("["):
        return _address_literal(text)
    ascii_form = text if text.isascii() else _to_ascii(text)
    if not _DOMAIN.fullmatch(ascii_form):
        raise AddressError(f"domain {text!r}: labels are letters, digits and inner hyphens, 1 to 63 octets")
    if len(ascii_form) > MAX_DOMAIN:
        raise AddressError(f"domain {text[:32]!r}…: longer than {MAX_DOMAIN} octets")
    return ascii_form.lower()


def is_address_literal(domain: str) -> bool:
    """Whether a canonical domain is an address literal (RFC 5321 §4.1.3)."""
    return domain.startswith("[")


def path(mailbox: ReversePath) -> str:
    """The path with its angle brackets, `<>` for the null reverse-path."""
    return "<>" if mailbox is None else f"<{mailbox}>"


def _within_limits(text: str, written: str, local: str, domain: str) -> Mailbox:
    octets = len(written) if written.isascii() else len(written.encode("utf-8"))
    if len(domain) > MAX_DOMAIN or octets + len(domain) + 3 > MAX_PATH:  # two brackets and the @
        raise AddressError(f"mailbox {text[:32]!r}…: path longer than {MAX_PATH} octets")
    return Mailbox(local, domain)


def _without_route(inner: str) -> str:
    # RFC 5321 §4.1.2, A-d-l: source routes must be accepted, should be ignored.
    if inner.startswith("@") and (route := _SOURCE_ROUTE.match(inner)):
        return inner[route.end() :]
    return inner


def _address_literal(text: str) -> str:
    inner = text[1:-1]
    try:
        if not text.endswith("]"):
            raise ValueError("not closed")
        if inner[:5].lower() == "ipv6:":
            if "%" in inner:
                raise ValueError("scoped")
            return f"[IPv6:{IPv6Address(inner[5:])}]"
        return f"[{IPv4Address(inner)}]"
    except ValueError as error:
        raise AddressError(f"address literal {text!r}: neither [IPv4] nor [IPv6:…]") from error


def _to_ascii(text: str) -> str:
    if not _DEVIATIONS.isdisjoint(text):
        raise AddressError(
            f"domain {text!r}: ß, ς and joiners are ambiguous", hint="write its A-label, xn--…"
        )
    try:
        return ".".join(idna.ToASCII(label).decode("ascii") for label in _FULL_STOPS.split(text))
    except UnicodeError as error:
        raise AddressError(f"domain {text!r}: not an internationalised name: {error}") from error


def _quote(local: str) -> str:
    escaped = local.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
