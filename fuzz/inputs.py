"""What a target makes of the octets that it is given: the same for the fuzzer, the seeds' test and a crash's."""

from ipaddress import IPv4Address, IPv6Address

from mxfleet.mail.questions import (
    Answer,
    Exchange,
    NoData,
    NxDomain,
    Question,
    Record,
    Response,
    TempError,
    Tlsa,
)

PART = b"\xfe\xfd"
"""Stands between the parts of an input; no protocol here ever needs it."""
RECORD = b"\xfc"
"""Stands between the records of one answer."""


class TooManyQuestions(Exception):
    """A check asked more than any input may make it ask: an amplifier."""


def parts(data: bytes, least: int) -> list[bytes]:
    """The parts of an input, at least so many."""
    found = data.split(PART)
    return found + [b""] * (least - len(found))


def pieces(data: bytes, size: int) -> list[bytes]:
    """Cut as a network might."""
    return [data[at : at + size] for at in range(0, len(data), size)]


class Resolver:
    """Answers any question with what the input says, one part after the other, round and round.

    A part `!` is NXDOMAIN, `-` no data, `?` no answer; anything else is records with RECORD between them.
    """

    def __init__(self, answers: list[bytes], limit: int) -> None:
        self._answers = answers or [b"!"]
        self._limit = limit
        self.asked = 0

    def __call__(self, question: Question) -> Response:
        if self.asked >= self._limit:
            raise TooManyQuestions(question)
        answer = self._answers[self.asked % len(self._answers)]
        self.asked += 1
        match answer:
            case b"!":
                return NxDomain()
            case b"-":
                return NoData()
            case b"?":
                return TempError()
        return Answer(tuple(_record(question, octets) for octets in answer.split(RECORD)[:64]))


def _record(question: Question, octets: bytes) -> Record:
    name = octets[:255].decode("ascii", "replace").replace("\ufffd", "?")
    match question.type:
        case "A":
            return IPv4Address(octets[:4].ljust(4, b"\0"))
        case "AAAA":
            return IPv6Address(octets[:16].ljust(16, b"\0"))
        case "MX":
            return Exchange(octets[0] if octets else 0, name)
        case "PTR":
            return name
        case "TLSA":
            head = octets.ljust(3, b"\0")
            return Tlsa(head[0], head[1], head[2], octets[3:])
    return octets
