"""DANE for SMTP (RFC 7672): whether a host must be spoken to with TLS, and with which certificate.

Only what DNSSEC vouches for counts, and no answer is never "there is none": then the host is left alone for now.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from mxfleet.mail.names import canonical_name, is_askable
from mxfleet.mail.questions import (
    Answer,
    NoData,
    NxDomain,
    Question,
    Questions,
    RecordType,
    Response,
    TempError,
    Tlsa,
)

Level: TypeAlias = Literal["none", "encrypt", "authenticate", "defer"]

_DIGESTS: Final = {1: 32, 2: 64}  # octets of SHA-256 and SHA-512 (RFC 6698 §2.1.3)


@dataclass(frozen=True, slots=True)
class Requirement:
    """What DANE asks of a connection to one host, and why.

    `none`: nothing, TLS as without DANE. `encrypt`: TLS, any certificate (RFC 7672 §2.2: records, none of them
    usable). `authenticate`: TLS with a certificate that one of `records` matches. `defer`: nobody knows; the host
    must not be used now. `base` is the name whose records they are, to be sent as SNI (RFC 7672 §8.1);
    `names` are those that a certificate under a trust anchor may have (§3.2.3).
    """

    level: Level
    reason: str
    records: tuple[Tlsa, ...] = ()
    base: str = ""
    names: tuple[str, ...] = ()


def require(host: str, *, domain: str = "", secure: bool, port: int = 25) -> Questions[Requirement]:
    """What DANE asks of a connection to an MX host, or to a domain that has none.

    `domain` is the recipients', `secure` whether the MX answer (or that there is no MX) was authenticated:
    where it was not, anybody could have named this host (RFC 7672 §2.2.1).
    """
    name = canonical_name(host)
    if not secure:
        return Requirement("none", "the MX records are not signed")
    if not name or name.startswith("["):
        return Requirement("none", "not a host name")
    answer = yield from _address(name)
    if isinstance(answer, TempError):
        return Requirement("defer", f"addresses of {name}: {answer.reason}")
    if not answer.authenticated:
        # RFC 7672 §2.1.2, §2.2.2: no TLSA question below an unsigned name: many servers answer it with an error.
        return Requirement("none", f"the addresses of {name} are not signed")
    for base in _bases(name, answer):
        response = yield Question(f"_{port}._tcp.{base}", "TLSA")
        if isinstance(response, TempError):
            return Requirement("defer", f"TLSA of {base}: {response.reason}")
        if isinstance(response, Answer) and response.authenticated:
            return _judge(response, base, name, canonical_name(domain))
    return Requirement("none", f"{name} has no signed TLSA records")


def usable(records: Iterable[Tlsa]) -> tuple[Tlsa, ...]:
    """The records that count: usages 2 and 3 (RFC 7672 §3.1.3), known forms, the strongest digest (RFC 7671 §9)."""
    known = [record for record in dict.fromkeys(records) if _is_known(record)]
    strongest: dict[tuple[int, int], int] = {}
    for record in known:
        form = (record.usage, record.selector)
        strongest[form] = max(strongest.get(form, 0), record.matching)
    return tuple(r for r in known if r.matching in (0, strongest[r.usage, r.selector]))


def _is_known(record: Tlsa) -> bool:
    if record.usage not in (2, 3) or record.selector not in (0, 1):
        return False
    if record.matching == 0:
        return len(record.data) > 0
    return len(record.data) == _DIGESTS.get(record.matching)


def _address(name: str) -> Questions[Response]:
    """The answer that tells whether a host's addresses are signed: one of the two is enough (RFC 7672 §2.2.2)."""
    found: list[Response] = []
    kinds: tuple[RecordType, ...] = ("A", "AAAA")
    for kind in kinds:
        response = yield Question(name, kind)
        if isinstance(response, NxDomain) or (isinstance(response, Answer) and response.authenticated):
            return response
        found.append(response)
    # An unsigned answer is one that was proved to be so; else a failure may hide a signed one.
    return min(
        found, key=lambda response: (not isinstance(response, Answer), not isinstance(response, TempError))
    )


def _bases(name: str, answer: Answer | NoData | NxDomain) -> tuple[str, ...]:
    """Where the records may be: at the end of the aliases first, then where they begin (RFC 7672 §2.2.2)."""
    end = canonical_name(answer.alias_of) if isinstance(answer, Answer) else ""
    return tuple(base for base in dict.fromkeys((end, name)) if base and is_askable(f"_65535._tcp.{base}"))


def _judge(answer: Answer, base: str, host: str, domain: str) -> Requirement:
    records = usable(record for record in answer.records if isinstance(record, Tlsa))
    names = tuple(name for name in dict.fromkeys((base, domain, host)) if name)
    if records:
        return Requirement("authenticate", f"TLSA of {base}", records, base, names)
    return Requirement("encrypt", f"no TLSA record of {base} is usable", (), base, names)
