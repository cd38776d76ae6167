"""Addresses and ids as ESMTP parameters carry them: xtext (RFC 3461 §4), and UTF-8 addresses (RFC 6533 §3)."""

import re
from typing import Final

from mxfleet.errors import AddressError

XTEXT: Final = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_PLAIN_XTEXT = re.compile(r"[^!-*,-<>-~]")
_HEXCHAR = re.compile(r"\+([0-9A-F]{2})")
_EMBEDDED = re.compile(r"\\x\{([0-9A-F]{2,6})\}")
_QCHAR = r"[!-*,-<>-\[\]-~]"  # printable, but none of SP + = \
UTF8_XTEXT: Final = re.compile(rf"(?:{_QCHAR}|\\x\{{[0-9A-F]{{2,6}}\}})+")
UTF8_UNITEXT: Final = re.compile(
    rf"(?:{_QCHAR}|[\u00a0-\u2027\u202a-\ud7ff\ue000-\U0010ffff]|\\x\{{[0-9A-F]{{2,6}}\}})+"
)


def encode(text: str) -> str:
    """ASCII text as xtext; AddressError for what is not ASCII."""
    if not text.isascii():
        raise AddressError(f"{text[:32]!r}: xtext is for ASCII only")
    return _PLAIN_XTEXT.sub(lambda match: f"+{ord(match[0]):02X}", text)


def decode(text: str) -> str:
    """The text that xtext means; AddressError where it is none, or means what is not ASCII."""
    if not XTEXT.fullmatch(text):
        raise AddressError(f"{text[:32]!r} is not xtext")
    decoded = _HEXCHAR.sub(lambda match: chr(int(match[1], 16)), text)
    if not decoded.isascii():
        raise AddressError(f"{text[:32]!r} means what is not ASCII")
    return decoded


def encode_utf8(address: str, *, ascii_only: bool = True) -> str:
    """An address of type `utf-8` (RFC 6533 §3): utf-8-addr-xtext, or with `ascii_only` off utf-8-addr-unitext."""
    return "".join(
        character
        if re.match(_QCHAR, character) or not (ascii_only or character.isascii())
        else f"\\x{{{ord(character):02X}}}"
        for character in address
    )


def decode_utf8(text: str) -> str:
    """The address that a value of type `utf-8` means; AddressError where it is none."""
    if not UTF8_UNITEXT.fullmatch(text):
        raise AddressError(f"{text[:32]!r} is not an address of type utf-8 (RFC 6533)")
    try:
        decoded = _EMBEDDED.sub(lambda match: chr(int(match[1], 16)), text)
        decoded.encode("utf-8")
    except (ValueError, OverflowError) as error:
        raise AddressError(f"{text[:32]!r} names what is no character") from error
    return decoded
