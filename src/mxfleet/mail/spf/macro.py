"""Macro strings (RFC 7208 §7): parsed once, expanded per session."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from urllib.parse import quote

from mxfleet.errors import MailError
from mxfleet.mail.names import MAX_NAME
from mxfleet.mail.questions import Address

_MACRO = re.compile(r"%(?:\{([A-Za-z])([0-9]*)([rR]?)([-.+,/_=]*)\}|([%_-]))")
_ESCAPES: Final = {"%": "%", "_": " ", "-": "%20"}  # RFC 7208 §7.1, macro-expand
_LETTERS: Final = frozenset("slodiphv")
_EXPLANATION_LETTERS: Final = _LETTERS | frozenset("crt")
# RFC 7208 §7.1: domain-end is a macro-expand or "." toplabel ["."].
_TOP_LABEL = re.compile(r"\.(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])\.?\Z")
_WRITTEN = re.compile(r"[!-$&-~]*")  # macro-literal
_EXPLAINED = re.compile(r"[ -$&-~]*")  # the same and SP, in an explain-string


@dataclass(frozen=True, slots=True)
class Session:
    """The facts that macros can name (RFC 7208 §7.2); `timestamp` in seconds since 1970."""

    address: Address
    hello: str
    local: str
    domain: str
    receiver: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class Macro:
    """One `%{…}`: letter in lower case, how many right-hand parts to keep (0: all), and the rest."""

    letter: str
    escaped: bool
    keep: int
    reverse: bool
    delimiters: str

    def transformed(self, value: str) -> str:
        """The value split, reversed, cut and joined again as the macro asks (RFC 7208 §7.3)."""
        if self.keep or self.reverse or self.delimiters != ".":
            parts = re.split(f"[{re.escape(self.delimiters)}]", value)
            if self.reverse:
                parts.reverse()
            value = ".".join(parts[-self.keep :])  # all of them where keep is 0
        return quote(value, safe="") if self.escaped else value


@dataclass(frozen=True)
class MacroString:
    """A parsed macro-string: literal text and macros in order; `ends_in_macro` as domain-end asks it."""

    parts: tuple[str | Macro, ...]
    ends_in_macro: bool

    @cached_property
    def constant(self) -> str | None:
        """The text, where there is no macro in it."""
        return None if any(isinstance(part, Macro) for part in self.parts) else "".join(map(str, self.parts))

    @cached_property
    def needs_name(self) -> bool:
        """Whether it names `p`, for which the DNS must be asked."""
        return any(isinstance(part, Macro) and part.letter == "p" for part in self.parts)

    def expand(self, session: Session, domain: str, name: str = "unknown") -> str:
        """The string for this session; `domain` is the current one, `name` the validated one of the client."""
        return "".join(
            part if isinstance(part, str) else part.transformed(_value(part.letter, session, domain, name))
            for part in self.parts
        )


def parse_domain_spec(text: str) -> MacroString:
    """A domain-spec (RFC 7208 §7.1); MailError where it is none."""
    parsed = _parse(text, _WRITTEN, _LETTERS)
    if not parsed.ends_in_macro and not _TOP_LABEL.search(str(parsed.parts[-1]) if parsed.parts else ""):
        raise MailError(f"domain-spec {text!r} does not end in a top label or a macro")
    return parsed


def parse_macro_string(text: str) -> MacroString:
    """The value of an unknown modifier (RFC 7208 §6); MailError where it is no macro-string."""
    return _parse(text, _WRITTEN, _LETTERS)


def parse_explanation(text: str) -> MacroString:
    """An explain-string (RFC 7208 §6.2), in which there may be spaces and the letters c, r and t."""
    return _parse(text, _EXPLAINED, _EXPLANATION_LETTERS)


def target_name(expanded: str) -> str:
    """An expanded domain-spec as a name to ask for: lower case, cut on the left to 253 octets (RFC 7208 §7.3)."""
    name = expanded.removesuffix(".").lower()
    if len(name) > MAX_NAME:
        name = name[-MAX_NAME - 1 :].partition(".")[2]  # the label in which the cut falls goes as a whole
    return name


def _parse(text: str, literal: re.Pattern[str], letters: frozenset[str]) -> MacroString:
    parts: list[str | Macro] = []
    position, last_is_macro = 0, False
    for match in _MACRO.finditer(text):
        _take_literal(text[position : match.start()], literal, parts)
        parts.append(_ESCAPES[match[5]] if match[5] else _macro(match, letters))
        position, last_is_macro = match.end(), match.end() == len(text)
    _take_literal(text[position:], literal, parts)
    return MacroString(tuple(parts), last_is_macro)


def _take_literal(text: str, literal: re.Pattern[str], parts: list[str | Macro]) -> None:
    if not literal.fullmatch(text):
        raise MailError(f"macro-string: {text[:40]!r} has a character that may not stand there")
    if text:
        parts.append(text)


def _macro(match: re.Match[str], letters: frozenset[str]) -> Macro:
    letter, digits, reverse, delimiters = match[1].lower(), match[2], bool(match[3]), match[4] or "."
    if letter not in letters:
        raise MailError(f"macro-string: no macro {letter!r} here (RFC 7208 §7.2)")
    if digits and not int(digits[:9]):
        raise MailError("macro-string: to keep no part is not allowed (RFC 7208 §7.3)")
    return Macro(letter, match[1].isupper(), min(int(digits[:9] or 0), 128), reverse, delimiters)


def _value(letter: str, session: Session, domain: str, name: str) -> str:
    match letter:
        case "s":
            return f"{session.local}@{session.domain}"
        case "l":
            return session.local
        case "o":
            return session.domain
        case "d":
            return domain
        case "i":
            return ".".join(_dotted(session.address))
        case "p":
            return name
        case "v":
            return "in-addr" if session.address.version == 4 else "ip6"
        case "h":
            return session.hello
        case "c":
            return str(session.address)
        case "r":
            return session.receiver
    return str(session.timestamp)


def _dotted(address: Address) -> Iterator[str]:
    """RFC 7208 §7.3: dotted quad, or for IPv6 the nibbles."""
    return iter(str(address).split(".") if address.version == 4 else address.packed.hex().upper())
