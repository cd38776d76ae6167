"""DNS messages (RFC 1035 §4) as far as a stub resolver needs them: one question out, one answer in.

dnspython reads a message in ten times the time; here it serves the tests, as the other opinion.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from mxfleet.errors import MailError
from mxfleet.mail.questions import (
    Answer,
    Exchange,
    NoData,
    NxDomain,
    Question,
    Record,
    RecordType,
    Response,
    TempError,
    Tlsa,
)

TYPES: Final[Mapping[RecordType, int]] = {"A": 1, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "TLSA": 52}
_CNAME, _SOA, _IN = 5, 6, 1
_ASKS: Final = 0x0120  # RD, and AD: tell us whether you validated (RFC 6840 §5.7)
_QR, _TC, _AD = 0x8000, 0x0200, 0x0020
_PAYLOAD: Final = 1232  # octets of a datagram that no network breaks up; larger answers come by TCP
_OPT: Final = b"\0" + struct.pack("!HHIH", 41, _PAYLOAD, 0, 0)  # RFC 6891 §6.1.2
_HEADER: Final = struct.Struct("!HHHHHH")
_RECORD: Final = struct.Struct("!HHIH")
_MAX_ALIASES: Final = 16
_RCODES: Final = {1: "FORMERR", 2: "SERVFAIL", 4: "NOTIMP", 5: "REFUSED"}


class NotOurs(MailError):
    """Octets that are not the answer to this question, whoever sent them."""


@dataclass(frozen=True, slots=True)
class Message:
    """An answer that was read: for how many seconds it holds, and whether it was cut short (RFC 1035 §4.2.1)."""

    response: Response
    seconds: int
    truncated: bool = False


def encode(number: int, question: Question) -> bytes:
    """The message that asks; the name must be askable (`mail.names`)."""
    return _HEADER.pack(number, _ASKS, 1, 0, 0, 1) + _question(question) + _OPT


def decode(octets: bytes, number: int, question: Question, *, trusted: bool) -> Message:
    """The answer to a question; NotOurs for octets that are none.

    `trusted` says that the path to the resolver is one on which its AD bit means something (RFC 6840 §5.8).
    """
    if len(octets) < _HEADER.size:
        raise NotOurs("shorter than a DNS header")
    identity, flags, questions, answers, authorities, _ = _HEADER.unpack_from(octets)
    asked = _question(question)
    behind = _HEADER.size + len(asked)
    if identity != number or not flags & _QR or questions != 1:
        raise NotOurs("not an answer, or to another question")
    if octets[_HEADER.size : behind].lower() != asked.lower():  # RFC 5452 §9.1
        raise NotOurs("the answer to another question")
    if flags & _TC:
        return Message(TempError("the answer was cut short"), 0, truncated=True)
    try:
        return _read(
            octets, behind, answers, authorities, question, flags & 0xF, bool(flags & _AD and trusted)
        )
    except (struct.error, IndexError, ValueError) as error:
        return Message(TempError(f"a malformed answer: {error}"), 0)


def _read(
    octets: bytes, start: int, answers: int, authorities: int, question: Question, code: int, secure: bool
) -> Message:
    if code not in (0, 3):
        return Message(TempError(_RCODES.get(code, f"rcode {code}")), 0)
    section = list(_records(octets, start, answers))
    end = section[-1].end if section else start
    found, seconds, alias_of = _follow(section, question)
    if found:
        return Message(Answer(found, secure, alias_of), seconds)
    seconds = min(_negative(octets, end, authorities), seconds)
    return Message(NxDomain(secure) if code == 3 else NoData(secure), seconds)


@dataclass(frozen=True, slots=True)
class _Raw:
    """One resource record, its data still as octets of the message."""

    owner: str
    type: int
    seconds: int
    octets: bytes
    start: int
    end: int


def _records(octets: bytes, start: int, count: int) -> Iterator[_Raw]:
    for _ in range(count):
        owner, at = _name(octets, start)
        kind, kind_class, seconds, length = _RECORD.unpack_from(octets, at)
        begin, start = at + _RECORD.size, at + _RECORD.size + length
        if start > len(octets):
            raise ValueError("a record longer than the message")
        if kind_class == _IN:
            yield _Raw(owner.lower(), kind, 0 if seconds > 0x7FFFFFFF else seconds, octets, begin, start)
        # RFC 2181 §8: a TTL with its highest bit set means nought


def _follow(section: list[_Raw], question: Question) -> tuple[tuple[Record, ...], int, str]:
    """The records of the type that was asked for at the end of the aliases, for how long the chain holds, its end."""
    wanted, name, seconds = TYPES[question.type], question.name.lower(), 0x7FFFFFFF
    for _ in range(_MAX_ALIASES):
        at_name = [record for record in section if record.owner == name]
        found = [record for record in at_name if record.type == wanted]
        if found:
            values = tuple(_value(record) for record in found)
            end = "" if name == question.name.lower() else name
            return values, min(seconds, *(r.seconds for r in found)), end
        alias = next((record for record in at_name if record.type == _CNAME), None)
        if alias is None:
            return (), seconds, ""
        name, seconds = _name(alias.octets, alias.start)[0].lower(), min(seconds, alias.seconds)
    raise ValueError("aliases without end")


def _negative(octets: bytes, start: int, count: int) -> int:
    """For how long there is nothing (RFC 2308 §5): nought where no SOA says so."""
    for record in _records(octets, start, count):
        if record.type == _SOA:
            minimum = int.from_bytes(octets[record.end - 4 : record.end], "big")
            return min(record.seconds, minimum)
    return 0


def _value(record: _Raw) -> Record:
    octets, start, end = record.octets, record.start, record.end
    match record.type:
        case 1:
            return IPv4Address(octets[start:end])
        case 28:
            return IPv6Address(octets[start:end])
        case 15:
            return Exchange(int.from_bytes(octets[start : start + 2], "big"), _name(octets, start + 2)[0])
        case 12:
            return _name(octets, start)[0]
        case 52:
            return _association(octets[start:end])
    return b"".join(_strings(octets, start, end))


def _association(data: bytes) -> Tlsa:
    """RFC 6698 §2.1."""
    if len(data) < 4:
        raise ValueError("a TLSA record without an association")
    return Tlsa(data[0], data[1], data[2], data[3:])


def _strings(octets: bytes, start: int, end: int) -> Iterator[bytes]:
    """The character-strings of a TXT record (RFC 1035 §3.3.14)."""
    while start < end:
        behind = start + 1 + octets[start]
        if behind > end:
            raise ValueError("a string longer than its record")
        yield octets[start + 1 : behind]
        start = behind


def _name(octets: bytes, start: int) -> tuple[str, int]:
    """A name without its trailing dot, and where it ends; pointers may only lead backwards (RFC 1035 §4.1.4)."""
    labels: list[str] = []
    at, end, bound, size = start, 0, start, 0
    while length := octets[at]:
        if length >= 0xC0:
            end = end or at + 2
            at = (length & 0x3F) << 8 | octets[at + 1]
            if at >= bound:
                raise ValueError("a name that points forwards")
            bound = at
            continue
        if length > 63:
            raise ValueError("a label of an unknown kind")
        label = octets[at + 1 : at + 1 + length]
        size += length + 1
        if len(label) != length or size > 254:
            raise ValueError("a name that is too long")
        labels.append(_label(label))
        at += 1 + length
    return ".".join(labels), end or at + 1


def _label(label: bytes) -> str:
    """As text; what would not stay one label of a name that is written down is escaped."""
    text = label.decode("latin-1")
    if text.isascii() and text.isprintable() and "." not in text and "\\" not in text:
        return text
    return "".join(c if "!" <= c <= "~" and c not in ".\\" else f"\\{ord(c):03d}" for c in text)


def _question(question: Question) -> bytes:
    labels = question.name.encode("ascii").split(b".")
    name = b"".join(bytes([len(label)]) + label for label in labels)
    return name + struct.pack("!xHH", TYPES[question.type], _IN)
