"""What the pure checks ask the DNS and what they are told: typed questions out, typed answers in.

A check is a generator: it yields a `Question`, is sent a `Response`, and returns its verdict. Whoever drives it
decides where answers come from: `drive` does it at once, mxd does the same with `await`.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, NamedTuple, TypeAlias, TypeVar

from mxfleet.errors import MailError

RecordType: TypeAlias = Literal["TXT", "A", "AAAA", "MX", "PTR", "TLSA"]
Address: TypeAlias = IPv4Address | IPv6Address


class Question(NamedTuple):
    """Ask the DNS for the records of one type at one name (ASCII, no trailing dot)."""

    name: str
    type: RecordType


@dataclass(frozen=True, slots=True)
class Exchange:
    """An MX record: preference and host name."""

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class Tlsa:
    """A TLSA record (RFC 6698 §2.1): what of a certificate chain must be this, see `dane`."""

    usage: int
    selector: int
    matching: int
    data: bytes


Record: TypeAlias = bytes | Address | Exchange | Tlsa | str


@dataclass(frozen=True, slots=True)
class Answer:
    """There are records, aliases followed (at least one, else it is NoData).

    TXT: bytes, the character-strings of each record joined without a gap · A: IPv4Address · AAAA: IPv6Address
    · MX: Exchange · PTR: str, the name without its trailing dot · TLSA: Tlsa. `authenticated` says that the
    resolver validated all of it by DNSSEC; `alias_of` is the name at the end of the aliases, "" without any.
    """

    records: tuple[Record, ...]
    authenticated: bool = False
    alias_of: str = ""


@dataclass(frozen=True, slots=True)
class NoData:
    """The name exists, the record type does not (RFC 2308 §2.2)."""

    authenticated: bool = False


@dataclass(frozen=True, slots=True)
class NxDomain:
    """The name does not exist, nor does any below it (RFC 8020)."""

    authenticated: bool = False


@dataclass(frozen=True, slots=True)
class TempError:
    """Nobody knows now: SERVFAIL, bogus, timed out; never to be read as "there is none"."""

    reason: str = "no answer"


Response: TypeAlias = Answer | NoData | NxDomain | TempError

Verdict = TypeVar("Verdict")
Questions: TypeAlias = Generator[Question, Response, Verdict]
"""A check in progress: yields questions, is sent responses, returns its verdict."""


def drive(check: Questions[Verdict], resolve: Callable[[Question], Response]) -> Verdict:
    """The verdict of a check whose questions `resolve` answers at once, from a cache or a zone."""
    try:
        question = next(check)
        while True:
            question = check.send(resolve(question))
    except StopIteration as end:
        verdict: Verdict = end.value
        return verdict


class Unanswered(MailError):
    """A question got no answer for now; the check that asked it turns this into its `temperror`."""


def ask_texts(name: str) -> Questions[tuple[bytes, ...]]:
    """The TXT records at a name, () where there are none; Unanswered where nobody knows."""
    records = _records(question := Question(name, "TXT"), (yield question))
    return tuple([record for record in records if isinstance(record, bytes)])


def ask_addresses(name: str, family: Literal["A", "AAAA"]) -> Questions[tuple[Address, ...]]:
    """The addresses of one family at a name, () where there are none; Unanswered where nobody knows."""
    records = _records(question := Question(name, family), (yield question))
    return tuple([record for record in records if isinstance(record, IPv4Address | IPv6Address)])


def ask_exchanges(name: str) -> Questions[tuple[Exchange, ...]]:
    """The MX records at a name by preference, () where there are none; Unanswered where nobody knows."""
    records = _records(question := Question(name, "MX"), (yield question))
    found = [record for record in records if isinstance(record, Exchange)]
    return tuple(sorted(found, key=lambda exchange: exchange.preference))


def ask_names(address: Address) -> Questions[tuple[str, ...]]:
    """The names that PTR records give an address, () where there are none; Unanswered where nobody knows."""
    records = _records(question := Question(address.reverse_pointer, "PTR"), (yield question))
    return tuple([record.rstrip(".").lower() for record in records if isinstance(record, str)])


def family_of(address: Address) -> Literal["A", "AAAA"]:
    """The record type that can name this address."""
    return "A" if address.version == 4 else "AAAA"


def without_mapping(address: Address) -> Address:
    """An IPv4-mapped IPv6 address as the IPv4 address that it is (RFC 7208 §5), any other as it stands."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _records(question: Question, response: Response) -> tuple[Record, ...]:
    if isinstance(response, Answer):
        return response.records
    if isinstance(response, TempError):
        raise Unanswered(f"{question.type} of {question.name}: {response.reason}")
    return ()
