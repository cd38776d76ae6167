"""SPF records (RFC 7208 §3, §5, §6, §12): text in, directives and modifiers out, every syntax error found first."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from mxfleet.errors import MailError
from mxfleet.mail.questions import Address
from mxfleet.mail.spf.macro import MacroString, parse_domain_spec, parse_macro_string
from mxfleet.mail.spf.result import SpfResult

VERSION: Final = b"v=spf1"
MAX_RECORD: Final = 8192  # octets; RFC 7208 §3.4 asks for 512, and a policy must not cost a tenth of a second
KEPT: Final = 512  # octets up to which a parsed record is kept
_RESULTS: Final[dict[str, SpfResult]] = {
    "": "pass",
    "+": "pass",
    "-": "fail",
    "~": "softfail",
    "?": "neutral",
}
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9._-]*)=(.*)", re.DOTALL)
_DIRECTIVE = re.compile(r"([-+~?]?)([A-Za-z0-9]+)(.*)", re.DOTALL)
_LENGTHS = re.compile(r"(.*?)(?:/(0|[1-9][0-9]?))?(?://(0|[1-9][0-9]{0,2}))?", re.DOTALL)
_LENGTH = re.compile(r"(.*?)(?:/(0|[1-9][0-9]{0,2}))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class All:
    """RFC 7208 §5.1."""

    def covers(self, _client: Address) -> bool:
        """Everybody."""
        return True


@dataclass(frozen=True, slots=True)
class Include:
    """RFC 7208 §5.2."""

    target: MacroString


@dataclass(frozen=True, slots=True)
class Hosts:
    """`a` and `mx` (RFC 7208 §5.3, §5.4); no target is the current domain; the shifts hide the host bits."""

    exchanges: bool
    target: MacroString | None
    shift4: int
    shift6: int

    def covers(self, address: Address, client: Address) -> bool:
        """Whether a host at `address` stands for this client."""
        shift = self.shift4 if client.version == 4 else self.shift6
        return address.version == client.version and int(address) >> shift == int(client) >> shift


@dataclass(frozen=True, slots=True)
class Pointer:
    """`ptr` (RFC 7208 §5.5)."""

    target: MacroString | None


@dataclass(frozen=True, slots=True)
class Network:
    """`ip4` and `ip6` (RFC 7208 §5.6): the address bits that count, and how far they are shifted."""

    version: int
    shift: int
    bits: int

    def covers(self, client: Address) -> bool:
        """Whether the client is in the network."""
        return client.version == self.version and int(client) >> self.shift == self.bits


@dataclass(frozen=True, slots=True)
class Exists:
    """RFC 7208 §5.7."""

    target: MacroString


Asking: TypeAlias = Include | Hosts | Pointer | Exists
Mechanism: TypeAlias = All | Network | Asking


@dataclass(frozen=True, slots=True)
class Directive:
    """A mechanism, the result that its qualifier gives, and the text as the record has it."""

    text: str
    result: SpfResult
    mechanism: Mechanism


@dataclass(frozen=True, slots=True)
class SpfRecord:
    """A whole record: directives in order, and the two modifiers that mean something."""

    directives: tuple[Directive, ...]
    redirect: MacroString | None
    explanation: MacroString | None


def spf_records(texts: Iterable[bytes]) -> tuple[bytes, ...]:
    """Those TXT records that are SPF's: `v=spf1` and then a space or nothing (RFC 7208 §4.5)."""
    return tuple(text for text in texts if text[:6].lower() == VERSION and text[6:7] in (b"", b" "))


def parse_spf_record(text: bytes) -> SpfRecord:
    """The record; MailError where anything in it breaks the grammar (RFC 7208 §4.6: before evaluation)."""
    if len(text) > MAX_RECORD:
        raise MailError(f"the record has {len(text)} octets, more than {MAX_RECORD}")
    return _parse_kept(text) if len(text) <= KEPT else _parse(text)


def _parse(text: bytes) -> SpfRecord:
    try:
        terms = text.decode("ascii")[len(VERSION) :].split(" ")
    except UnicodeDecodeError as error:
        raise MailError("the record has octets that are not ASCII (RFC 7208 §3.1)") from error
    directives: list[Directive] = []
    modifiers: dict[str, MacroString] = {}
    for term in filter(None, terms):
        if modifier := _MODIFIER.fullmatch(term):
            _take_modifier(modifier[1].lower(), modifier[2], modifiers)
        else:
            directives.append(_directive(term))
    return SpfRecord(tuple(directives), modifiers.get("redirect"), modifiers.get("exp"))


_parse_kept = lru_cache(maxsize=2048)(_parse)


def _take_modifier(name: str, value: str, modifiers: dict[str, MacroString]) -> None:
    if name not in ("redirect", "exp"):
        parse_macro_string(value)  # RFC 7208 §6: ignored, but it must be one
        return
    if name in modifiers:
        raise MailError(f"the record has {name}= twice (RFC 7208 §6)")
    modifiers[name] = parse_domain_spec(value)


def _directive(term: str) -> Directive:
    match = _DIRECTIVE.fullmatch(term)
    if match is None:
        raise MailError(f"term {term[:40]!r} is neither a directive nor a modifier")
    mechanism = _mechanism(match[2].lower(), match[3])
    if mechanism is None:
        raise MailError(f"term {term[:40]!r}: no such mechanism, or not this argument")
    return Directive(term, _RESULTS[match[1]], mechanism)


def _mechanism(name: str, rest: str) -> Mechanism | None:
    argument = rest[1:] if rest.startswith(":") else None
    match name:
        case "all" if not rest:
            return All()
        case "include" if argument is not None:
            return Include(parse_domain_spec(argument))
        case "exists" if argument is not None:
            return Exists(parse_domain_spec(argument))
        case "ptr" if argument is not None or not rest:
            return Pointer(None if argument is None else parse_domain_spec(argument))
        case "a" | "mx":
            return _hosts(name == "mx", rest)
        case "ip4" | "ip6" if argument is not None:
            return _network(4 if name == "ip4" else 6, argument)
    return None


def _hosts(exchanges: bool, rest: str) -> Hosts | None:
    match = _LENGTHS.fullmatch(rest)
    if match is None or (match[1] and not match[1].startswith(":")):
        return None
    target = parse_domain_spec(match[1][1:]) if match[1] else None
    return Hosts(exchanges, target, _shift(match[2], 32), _shift(match[3], 128))


def _network(version: int, argument: str) -> Network | None:
    match = _LENGTH.fullmatch(argument)
    if match is None or "%" in argument:  # Python reads scoped addresses, RFC 7208 does not
        return None
    try:
        address = IPv4Address(match[1]) if version == 4 else IPv6Address(match[1])
    except ValueError:
        return None
    shift = _shift(match[2], address.max_prefixlen)
    return Network(version, shift, int(address) >> shift)


def _shift(length: str | None, bits: int) -> int:
    kept = bits if length is None else int(length)
    if kept > bits:
        raise MailError(f"prefix length {kept} is more than {bits}")
    return bits - kept
