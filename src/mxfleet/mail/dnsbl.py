"""DNS lists (RFC 5782): what to ask, what an answer means, and which answers are no listing but a complaint.

A list that is misused, blocked or dead must never look like one that lists everybody: only answers in 127.0.0.0/8
count, and Spamhaus's 127.255.255.0/24 says that *our question* is at fault.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Final, Literal, TypeAlias

from mxfleet.mail.questions import Address, Question, Questions, Unanswered, ask_addresses, without_mapping

ListResult: TypeAlias = Literal["listed", "clean", "error", "temperror"]

_ANSWERS: Final = IPv4Network("127.0.0.0/8")  # RFC 5782 §2.1
_COMPLAINTS: Final = IPv4Network("127.255.255.0/24")
# https://www.spamhaus.org/faqs/dnsbl-usage/ : other lists use the same codes.
_COMPLAINT_TEXTS: Final[Mapping[str, str]] = {
    "127.255.255.252": "the list's name is misspelt",
    "127.255.255.254": "asked through a public resolver, which it does not answer",
    "127.255.255.255": "asked too often, it does not answer any more",
}
LISTED_TEST: Final = IPv4Address("127.0.0.2")  # RFC 5782 §5: always listed
CLEAN_TEST: Final = IPv4Address("127.0.0.1")  # never listed


@dataclass(frozen=True, slots=True)
class DnsList:
    """A list: its zone, and what its answers mean by address ("127.0.0.2": "spam source").

    Without meanings every answer is a listing; with them only those count.
    """

    zone: str
    meanings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listing:
    """The verdict of one list: `meanings` in the order of its answers; `error` where it complained about us."""

    zone: str
    result: ListResult
    meanings: tuple[str, ...] = ()
    reason: str = ""


def query_name(address: Address, zone: str) -> str:
    """Where a list says something about an address (RFC 5782 §2.1 for IPv4, §2.4 for IPv6)."""
    return f"{address.reverse_pointer.rsplit('.', 2)[0]}.{zone}"


def questions_ahead(address: Address, lists: tuple[DnsList, ...]) -> tuple[Question, ...]:
    """What checking these lists will ask; all at once."""
    return tuple(Question(query_name(without_mapping(address), found.zone), "A") for found in lists)


def check_address(address: Address, dns_list: DnsList) -> Questions[Listing]:
    """What a list says about a client's address."""
    return (yield from _check(query_name(without_mapping(address), dns_list.zone), dns_list))


def check_domain(domain: str, dns_list: DnsList) -> Questions[Listing]:
    """What a list of names says about a canonical domain (RFC 5782 §3)."""
    return (yield from _check(f"{domain}.{dns_list.zone}", dns_list))


def check_list(dns_list: DnsList) -> Questions[str]:
    """Why a list must not be used now, "" where it may (RFC 5782 §5): its two test entries are asked for."""
    listed = yield from check_address(LISTED_TEST, DnsList(dns_list.zone))
    clean = yield from check_address(CLEAN_TEST, DnsList(dns_list.zone))
    if "temperror" in (listed.result, clean.result):
        return f"{dns_list.zone}: {listed.reason or clean.reason}"
    if listed.result != "listed":
        return f"{dns_list.zone} does not list {LISTED_TEST}: {listed.reason or 'it is empty or gone'}"
    if clean.result == "listed":
        return f"{dns_list.zone} lists {CLEAN_TEST}: it lists everything"
    return ""


def _check(name: str, dns_list: DnsList) -> Questions[Listing]:
    try:
        answers = yield from ask_addresses(name, "A")
    except Unanswered as error:
        return Listing(dns_list.zone, "temperror", reason=str(error))
    return _read(tuple(map(str, answers)), dns_list)


def _read(answers: tuple[str, ...], dns_list: DnsList) -> Listing:
    for answer in answers:
        if IPv4Address(answer) in _COMPLAINTS:
            said = _COMPLAINT_TEXTS.get(answer, "it does not answer us")
            return Listing(dns_list.zone, "error", reason=f"{dns_list.zone} says {answer}: {said}")
        if IPv4Address(answer) not in _ANSWERS:
            return Listing(
                dns_list.zone, "error", reason=f"{dns_list.zone} says {answer}, which is no answer of a list"
            )
    meanings = tuple(
        dns_list.meanings.get(answer, answer)
        for answer in answers
        if answer in dns_list.meanings or not dns_list.meanings
    )
    return Listing(dns_list.zone, "listed" if meanings else "clean", meanings)
