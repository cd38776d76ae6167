"""The client's name, proved in both directions (RFC 8601 §3): the address has a name, and the name has the address."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from mxfleet.mail.names import is_askable
from mxfleet.mail.questions import (
    Address,
    Questions,
    Unanswered,
    ask_addresses,
    ask_names,
    family_of,
    without_mapping,
)

IprevResult: TypeAlias = Literal["pass", "fail", "temperror", "permerror"]

MAX_NAMES: Final = 10  # as many as SPF looks at (RFC 7208 §4.6.4)


@dataclass(frozen=True, slots=True)
class Iprev:
    """The verdict (RFC 8601 §2.7.3): `name` is the proved name, "" unless it is a pass.

    `permerror`: the address has no name · `fail`: none of its names leads back to it · `temperror`: nobody
    knows now.
    """

    result: IprevResult
    name: str = ""
    reason: str = ""


def check_iprev(address: Address) -> Questions[Iprev]:
    """The proved name of a client's address."""
    address = without_mapping(address)
    try:
        names = yield from ask_names(address)
    except Unanswered as error:
        return Iprev("temperror", reason=str(error))
    if not names:
        return Iprev("permerror", reason=f"{address} has no name")
    unanswered = ""
    for name in filter(is_askable, names[:MAX_NAMES]):
        try:
            if address in (yield from ask_addresses(name, family_of(address))):
                return Iprev("pass", name)
        except Unanswered as error:
            unanswered = str(error)
    if unanswered:
        return Iprev("temperror", reason=unanswered)
    return Iprev("fail", reason=f"no name of {address} leads back to it, {names[0]} neither")
