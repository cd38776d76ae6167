"""What each authoritative server itself says: asked one by one, RD=0, on every address.

Nothing here ever asks a recursive resolver for the record that is waited for: its "does not exist" would be
remembered there for the negative TTL (RFC 2308 §5) and fail the first messages signed with the new key.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
from dns.rdtypes.ANY.TLSA import TLSA
from dns.rdtypes.ANY.TXT import TXT

from mxfleet.dns.lookup import NO_ROUTE_ERRORS, Authority

Ask = Callable[[dns.message.Message, str, int], dns.message.Message]
"""(question, address, port) → answer; raises OSError or DNSException."""

SECONDS, PAYLOAD, THREADS = 2.0, 1232, 16


class Verdict(StrEnum):
    """What one address of one server says of a record."""

    SHOWN = "shows it"
    ABSENT = "does not have it"
    DIFFERENT = "has something else"
    NOT_AUTHORITATIVE = "is not authoritative for it"
    SILENT = "does not answer"
    NO_ROUTE = "cannot be reached from this machine (no route)"


@dataclass(frozen=True, slots=True)
class Sight:
    """The verdict of one address; `serial` is its SOA serial, asked where it does not show the record."""

    authority: Authority
    verdict: Verdict
    serial: int | None = None

    def __str__(self) -> str:
        """For people: name, address, verdict, serial."""
        serial = f", its zone has serial {self.serial}" if self.serial is not None else ""
        return f"{self.authority.name} ({self.authority.address}) {self.verdict}{serial}"


@dataclass(frozen=True, slots=True)
class Sought:
    """A record that shall be seen: its zone, its name, and its content.

    A TXT record shall have these octets as its one value; of TLSA records `3 1 1`, which stand beside one another,
    one shall have this hash (RFC 7671 §8.1), or none where it shall be `gone`. `among`: other TXT values may be there.
    """

    zone: str
    name: str
    content: bytes
    kind: str = "TXT"
    gone: bool = False
    among: bool = False


def ask_server(message: dns.message.Message, address: str, port: int) -> dns.message.Message:
    """One question by UDP, by TCP where the answer is too long."""
    answer, _ = dns.query.udp_with_fallback(message, address, timeout=SECONDS, port=port)
    return answer


def observe(sought: Sought, authorities: Sequence[Authority], ask: Ask = ask_server) -> tuple[Sight, ...]:
    """What every address of every server says, all asked at once."""
    with ThreadPoolExecutor(THREADS) as pool:
        return tuple(pool.map(lambda authority: look(sought, authority, ask), authorities))


def everywhere(sights: Iterable[Sight]) -> bool:
    """Whether every server shows it on every address that this machine can reach, and each on one at least."""
    seen = list(sights)
    reachable = {s.authority.name for s in seen if s.verdict is not Verdict.NO_ROUTE}
    agreed = all(s.verdict in (Verdict.SHOWN, Verdict.NO_ROUTE) for s in seen)
    return bool(seen) and agreed and reachable == {s.authority.name for s in seen}


def look(sought: Sought, authority: Authority, ask: Ask = ask_server) -> Sight:
    """The verdict of one address."""
    try:
        answer = ask(question(sought.name, sought.kind), authority.address, authority.port)
    except OSError as error:
        silent = isinstance(error, TimeoutError) or error.errno not in NO_ROUTE_ERRORS
        return Sight(authority, Verdict.SILENT if silent else Verdict.NO_ROUTE)
    except dns.exception.DNSException:  # a time-out, or an answer that is none
        return Sight(authority, Verdict.SILENT)
    verdict = judge(answer, sought)
    if verdict is Verdict.SHOWN:
        return Sight(authority, verdict)
    return Sight(authority, verdict, serial_of(sought.zone, authority, ask))


def judge(answer: dns.message.Message, sought: Sought) -> Verdict:
    """What an answer says: shown is AA, NOERROR and what `Sought` describes; pure."""
    if not answer.flags & dns.flags.AA or answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return Verdict.NOT_AUTHORITATIVE
    if sought.kind == "TLSA":
        return _judge_tlsa(answer, sought)
    found = [b"".join(rdata.strings) for rrset in answer.answer for rdata in rrset if isinstance(rdata, TXT)]
    if not found:
        return Verdict.ABSENT
    shown = sought.content in found if sought.among else found == [sought.content]
    return Verdict.SHOWN if shown else Verdict.DIFFERENT


def _judge_tlsa(answer: dns.message.Message, sought: Sought) -> Verdict:
    own = {
        rdata.cert
        for rrset in answer.answer
        for rdata in rrset
        if isinstance(rdata, TLSA) and (rdata.usage, rdata.selector, rdata.mtype) == (3, 1, 1)
    }
    if sought.gone:
        return Verdict.DIFFERENT if sought.content in own else Verdict.SHOWN
    if sought.content in own:
        return Verdict.SHOWN
    return Verdict.DIFFERENT if own else Verdict.ABSENT


def question(name: str, kind: str) -> dns.message.QueryMessage:
    """A question to an authoritative server: no recursion desired, answers of up to 1232 octets by UDP."""
    return dns.message.make_query(name, kind, flags=0, use_edns=0, payload=PAYLOAD)


def serial_of(zone: str, authority: Authority, ask: Ask) -> int | None:
    """The serial of the zone as that server has it, None where it does not say."""
    try:
        answer = ask(question(zone, "SOA"), authority.address, authority.port)
    except (OSError, dns.exception.DNSException):
        return None
    rdatas = [rdata for rrset in answer.answer for rdata in rrset if rdata.rdtype == dns.rdatatype.SOA]
    return int(rdatas[0].serial) if rdatas else None
