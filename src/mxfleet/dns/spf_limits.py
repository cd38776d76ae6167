"""Whether the SPF records that we are about to publish can be evaluated at all (RFC 7208 §4.6.4).

Our own terms need no lookup; those of `also_send` lead into zones of others, which change without telling us.
So the record is evaluated as a receiver would, for an address that nothing matches: that visits every term.
"""

from collections.abc import Callable, Iterator
from ipaddress import ip_address

import dns.exception
import dns.rdata
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.TXT import TXT

from mxfleet.dns.desired import sender_policy
from mxfleet.fleet.model import Fleet
from mxfleet.mail.questions import (
    Answer,
    Exchange,
    NoData,
    NxDomain,
    Question,
    Record,
    Response,
    TempError,
    drive,
)
from mxfleet.mail.spf.check import check_mail_from

STRANGER = ip_address("192.0.2.1")
"""RFC 5737 §3: an address that nobody sends from."""
LONGEST = 450
"""RFC 7208 §3.4: an answer should fit into 512 octets, with the question and whatever else stands at the name."""

Responder = Callable[[Question], Response]


def spf_problems(fleet: Fleet, respond: Responder) -> Iterator[tuple[str, str]]:
    """(domain, sentence) for each sending domain whose record receivers would not evaluate to the end."""
    for domain in fleet.domains:
        if domain.parked:
            continue
        text = sender_policy(fleet, domain)
        if len(text) > LONGEST:
            yield domain.name, f"its SPF record has {len(text)} octets, more than {LONGEST}"
        if domain.also_send:
            check = check_mail_from(STRANGER, "mail.invalid", f"postmaster@{domain.name}")
            verdict = drive(check, _with(Question(domain.name, "TXT"), text, respond))
            if verdict.result in ("permerror", "temperror"):
                yield domain.name, f"its SPF record would give {verdict.result}: {verdict.reason}"


def _with(ours: Question, text: bytes, respond: Responder) -> Responder:
    return lambda question: Answer((text,)) if question == ours else respond(question)


def by_resolver(question: Question) -> Response:
    """As this machine's resolver says; nothing is asked here that we are about to publish."""
    try:
        found = dns.resolver.resolve(question.name, question.type, search=False, lifetime=5.0)
    except dns.resolver.NXDOMAIN:
        return NxDomain()
    except dns.resolver.NoAnswer:
        return NoData()
    except dns.exception.DNSException as error:
        return TempError(str(error))
    return Answer(tuple(_record(rdata) for rdata in found))


def _record(rdata: dns.rdata.Rdata) -> Record:
    if isinstance(rdata, TXT):
        return b"".join(rdata.strings)
    text = rdata.to_text().rstrip(".").lower()
    match dns.rdatatype.to_text(rdata.rdtype):
        case "A" | "AAAA":
            return ip_address(text)
        case "MX":
            preference, host = text.split(" ")
            return Exchange(int(preference), host.rstrip("."))
    return text
