"""What counts as visible: every server, on every address that can be asked, with exactly our text."""

import errno

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from mxfleet.dns.authority import Sight, Sought, Verdict, everywhere, judge, look, observe, question
from mxfleet.dns.lookup import Authority, authorities, enclosing_zone
from mxfleet.dns.records import quoted
from mxfleet.errors import DnsError

NAME = "r1._domainkey.corp.test"
TEXT = b"v=DKIM1; k=rsa; p=" + b"A" * 400
SOUGHT = Sought("corp.test", NAME, TEXT)
NS1, NS2 = Authority("ns1.test", "192.0.2.1"), Authority("ns2.test", "192.0.2.2")
NS1_V6 = Authority("ns1.test", "2001:db8::1")


def answer(
    *values: str, kind: str = "TXT", rcode: dns.rcode.Rcode = dns.rcode.NOERROR, authoritative: bool = True
) -> dns.message.Message:
    message = dns.message.make_response(question(NAME, kind))
    message.set_rcode(rcode)
    if authoritative:
        message.flags |= dns.flags.AA
    if values:
        message.answer.append(dns.rrset.from_text(f"{NAME}.", 60, "IN", kind, *values))
    return message


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        (answer(quoted(TEXT)), Verdict.SHOWN),
        (answer(" ".join(quoted(TEXT[p : p + 100]) for p in range(0, len(TEXT), 100))), Verdict.SHOWN),
        (answer(), Verdict.ABSENT),
        (answer(rcode=dns.rcode.NXDOMAIN), Verdict.ABSENT),
        (answer(quoted(TEXT), quoted(b"v=DKIM1; p=")), Verdict.DIFFERENT),
        (answer(quoted(TEXT[:-1])), Verdict.DIFFERENT),
        (answer(quoted(TEXT.lower())), Verdict.DIFFERENT),
        (answer(quoted(TEXT), authoritative=False), Verdict.NOT_AUTHORITATIVE),
        (answer(rcode=dns.rcode.REFUSED), Verdict.NOT_AUTHORITATIVE),
        (answer(rcode=dns.rcode.SERVFAIL), Verdict.NOT_AUTHORITATIVE),
    ],
)
def test_an_answer_shows_the_record_only_when_it_is_authoritative_and_exactly_ours(
    message: dns.message.Message, verdict: Verdict
) -> None:
    assert judge(message, SOUGHT) is verdict


def test_no_question_asks_for_recursion() -> None:
    assert not question(NAME, "TXT").flags & dns.flags.RD


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (dns.exception.Timeout(), Verdict.SILENT),  # type: ignore[no-untyped-call]
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Verdict.SILENT),
        (TimeoutError("timed out"), Verdict.SILENT),
        (OSError(errno.EHOSTUNREACH, "no route to host"), Verdict.SILENT),
        (OSError(errno.ENETUNREACH, "network is unreachable"), Verdict.NO_ROUTE),
    ],
)
def test_a_server_that_is_down_is_told_from_a_family_that_this_machine_lacks(
    error: Exception, verdict: Verdict
) -> None:
    def ask(message: dns.message.Message, address: str, port: int) -> dns.message.Message:
        raise error

    assert look(SOUGHT, NS1, ask) == Sight(NS1, verdict)


def test_a_server_that_lags_is_named_with_the_serial_of_its_zone() -> None:
    soa = answer("ns1.test. root.test. 2026112401 1 1 1 1", kind="SOA")

    def ask(message: dns.message.Message, address: str, port: int) -> dns.message.Message:
        if address == "192.0.2.1":
            return answer(quoted(TEXT))
        return soa if message.question[0].rdtype == 6 else answer()

    sights = observe(SOUGHT, (NS1, NS2), ask)
    assert not everywhere(sights)
    assert [str(sight) for sight in sights] == [
        "ns1.test (192.0.2.1) shows it",
        "ns2.test (192.0.2.2) does not have it, its zone has serial 2026112401",
    ]


@pytest.mark.parametrize(
    ("verdicts", "seen"),
    [
        ([], False),
        ([(NS1, Verdict.SHOWN)], True),
        ([(NS1, Verdict.SHOWN), (NS2, Verdict.SILENT)], False),
        ([(NS1, Verdict.SHOWN), (NS2, Verdict.ABSENT)], False),
        ([(NS1, Verdict.SHOWN), (NS1_V6, Verdict.NO_ROUTE)], True),
        ([(NS1, Verdict.SHOWN), (NS1_V6, Verdict.SILENT)], False),
        ([(NS1_V6, Verdict.NO_ROUTE), (NS2, Verdict.SHOWN)], False),
    ],
)
def test_everywhere_is_every_server_and_every_address_that_can_be_asked(
    verdicts: list[tuple[Authority, Verdict]], seen: bool
) -> None:
    assert everywhere(Sight(authority, verdict) for authority, verdict in verdicts) is seen


class Told:
    """A lookup that knows what it was told."""

    port = 5353

    def __init__(self, **values: list[str]) -> None:
        self.known = values

    def values(self, name: str, kind: str) -> list[str]:
        return self.known.get(f"{kind} {name}", [])


def test_the_servers_are_all_addresses_of_all_names() -> None:
    lookup = Told(
        **{
            "NS corp.test": ["ns1.test", "ns2.test"],
            "A ns1.test": ["192.0.2.1"],
            "AAAA ns1.test": ["2001:db8::1"],
            "A ns2.test": ["192.0.2.2"],
        }
    )
    assert authorities("corp.test", lookup) == (
        Authority("ns1.test", "192.0.2.1", 5353),
        Authority("ns1.test", "2001:db8::1", 5353),
        Authority("ns2.test", "192.0.2.2", 5353),
    )


def test_a_zone_without_servers_and_a_server_without_address_are_named() -> None:
    with pytest.raises(DnsError, match=r"no name servers of zone corp\.test can be found — is it delegated"):
        authorities("corp.test", Told())
    with pytest.raises(DnsError, match=r"ns1\.test, a name server of zone corp\.test, has no address"):
        authorities("corp.test", Told(**{"NS corp.test": ["ns1.test"]}))


def test_the_zone_around_a_name_is_the_nearest_with_servers() -> None:
    lookup = Told(**{"NS corp.test": ["ns1.test"], "NS test": ["ns1.test"]})
    assert enclosing_zone("a.b.corp.test", lookup) == "corp.test"
    with pytest.raises(DnsError, match=r"a\.example lies in no zone that can be found"):
        enclosing_zone("a.example", lookup)
