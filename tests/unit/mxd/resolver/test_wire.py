"""Our reading of DNS messages against dnspython's: the same records, aliases and times; no octets break it."""

from itertools import pairwise

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mxfleet.mail.questions import Answer, Exchange, NoData, NxDomain, Question, RecordType, TempError, Tlsa
from mxfleet.mxd.resolver.wire import Message, NotOurs, decode, encode

ASKED = Question("a.peer.test", "TXT")


def reply(question: Question, *rrsets: str, rcode: str = "NOERROR", soa: str = "", flags: int = 0) -> bytes:
    """What a server says: each of `rrsets` is "name ttl type data"."""
    query = dns.message.from_wire(encode(7, question))
    answer = dns.message.make_response(query)
    answer.flags |= flags
    answer.set_rcode(dns.rcode.from_text(rcode))
    for section, texts in ((answer.answer, rrsets), (answer.authority, (soa,) if soa else ())):
        for text in texts:
            name, ttl, kind, data = text.split(" ", 3)
            section.append(dns.rrset.from_text_list(name, int(ttl), "IN", kind, data.split(" | ")))
    return answer.to_wire()


def read(question: Question, *rrsets: str, rcode: str = "NOERROR", soa: str = "", flags: int = 0) -> Message:
    return decode(reply(question, *rrsets, rcode=rcode, soa=soa, flags=flags), 7, question, trusted=True)


def test_a_question_is_what_dnspython_takes_for_one() -> None:
    query = dns.message.from_wire(encode(7, ASKED))
    assert (query.id, query.question[0].to_text()) == (7, "a.peer.test. IN TXT")
    assert query.flags == dns.flags.RD | dns.flags.AD
    assert (query.edns, query.payload) == (0, 1232)


@pytest.mark.parametrize(
    ("kind", "data", "records"),
    [
        ("TXT", '"v=spf1 " "-all" | "other"', (b"v=spf1 -all", b"other")),
        ("A", "192.0.2.1 | 192.0.2.2", ("192.0.2.1", "192.0.2.2")),
        ("AAAA", "2001:db8::1", ("2001:db8::1",)),
        ("MX", "10 mx.peer.test. | 20 .", (Exchange(10, "mx.peer.test"), Exchange(20, ""))),
        ("PTR", "Mail.other.", ("Mail.other",)),
        ("TLSA", "3 1 0 00ff | 2 0 0 ab", (Tlsa(3, 1, 0, b"\x00\xff"), Tlsa(2, 0, 0, b"\xab"))),
    ],
)
def test_records_of_each_type(kind: RecordType, data: str, records: tuple[object, ...]) -> None:
    question = Question("a.peer.test", kind)
    found = read(question, f"A.peer.TEST. 60 {kind} {data}")
    assert isinstance(found.response, Answer)
    as_text = tuple(r if isinstance(r, bytes | Exchange | Tlsa) else str(r) for r in found.response.records)
    assert set(as_text) == set(records)  # dnspython shuffles
    assert (found.seconds, found.response.authenticated) == (60, False)


def test_aliases_are_followed_in_any_order_and_the_shortest_time_counts() -> None:
    found = read(ASKED, 'c.test. 60 TXT "end"', "b.test. 5 CNAME C.test.", "a.peer.test. 30 CNAME b.test.")
    assert found == Message(Answer((b"end",), alias_of="c.test"), 5)


def test_aliases_in_a_circle_are_no_answer() -> None:
    found = read(ASKED, "a.peer.test. 30 CNAME b.test.", "b.test. 30 CNAME a.peer.test.")
    assert isinstance(found.response, TempError)


def test_records_of_other_names_are_not_the_answer() -> None:
    assert read(ASKED, 'other.test. 60 TXT "v=spf1 +all"') == Message(NoData(), 0)


SOA = "peer.test. 600 SOA ns.peer.test. h.peer.test. 1 2 3 4 300"


def test_what_is_not_there_holds_as_long_as_the_soa_says() -> None:
    assert read(ASKED, soa=SOA) == Message(NoData(), 300)
    assert read(ASKED, rcode="NXDOMAIN", soa=SOA) == Message(NxDomain(), 300)
    assert read(ASKED, "a.peer.test. 7 CNAME gone.test.", rcode="NXDOMAIN", soa=SOA) == Message(NxDomain(), 7)


def test_the_ad_bit_counts_from_where_it_is_trusted_only() -> None:
    octets = reply(ASKED, 'a.peer.test. 60 TXT "x"', flags=dns.flags.AD)
    assert decode(octets, 7, ASKED, trusted=True).response == Answer((b"x",), authenticated=True)
    assert decode(octets, 7, ASKED, trusted=False).response == Answer((b"x",))


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "FORMERR", "NOTAUTH"])
def test_a_failure_is_never_there_is_none(rcode: str) -> None:
    found = read(ASKED, rcode=rcode, soa=SOA)
    assert isinstance(found.response, TempError)
    assert found.response.reason in (rcode, "rcode 9")


def test_what_was_cut_short_says_so() -> None:
    assert read(ASKED, flags=dns.flags.TC).truncated


def test_an_answer_to_something_else_is_not_ours() -> None:
    octets = reply(ASKED, 'a.peer.test. 60 TXT "x"')
    for wrong in (Question("b.peer.test", "TXT"), Question("a.peer.test", "A")):
        with pytest.raises(NotOurs):
            decode(octets, 7, wrong, trusted=True)
    for damaged in (b"", octets[:11], encode(7, ASKED), b"\0\1" + octets[2:]):
        with pytest.raises(NotOurs):
            decode(damaged, 7, ASKED, trusted=True)


def test_a_label_with_a_dot_in_it_stays_one_label() -> None:
    question = Question("1.2.0.192.in-addr.arpa", "PTR")
    found = read(question, "1.2.0.192.in-addr.arpa. 60 PTR evil\\.peer.test.")
    assert found.response == Answer(("evil\\046peer.test",))


WHOLE = reply(
    ASKED, "a.peer.test. 30 CNAME b.peer.test.", 'b.peer.test. 60 TXT "some text" | "more"', soa=SOA
)


@settings(max_examples=300)
@given(at=st.integers(12, len(WHOLE) - 1), octet=st.integers(0, 255), cut=st.integers(12, len(WHOLE)))
def test_damage_is_never_more_than_a_failure(at: int, octet: int, cut: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[at] = octet
    try:
        found = decode(bytes(damaged[:cut]), 7, ASKED, trusted=True)
    except NotOurs:
        return
    if isinstance(found.response, Answer):
        assert found.response.records
        assert found.seconds >= 0


names = st.lists(st.text("abcdefghij-_", min_size=1, max_size=20), min_size=1, max_size=6).map(".".join)


@settings(max_examples=200)
@given(
    chain=st.lists(names, min_size=1, max_size=5, unique=True),
    texts=st.lists(st.binary(max_size=200), min_size=1, max_size=4),
    ttl=st.integers(0, 100_000),
)
def test_dnspython_finds_the_same_at_the_end_of_a_chain(
    chain: list[str], texts: list[bytes], ttl: int
) -> None:
    question = Question(chain[0], "TXT")
    query = dns.message.from_wire(encode(7, question))
    answer = dns.message.make_response(query)
    for here, there in pairwise(chain):
        answer.answer.append(dns.rrset.from_text(here + ".", ttl + 1, "IN", "CNAME", there + "."))
    quoted = ['"' + "".join(f"\\{octet:03d}" for octet in text) + '"' for text in texts]
    answer.answer.append(dns.rrset.from_text_list(chain[-1] + ".", ttl, "IN", "TXT", quoted))
    octets = answer.to_wire()
    ours = decode(octets, 7, question, trusted=True)
    answered = dns.message.from_wire(octets)
    assert isinstance(answered, dns.message.QueryMessage)
    theirs = answered.resolve_chaining()
    assert theirs.answer is not None
    assert isinstance(ours.response, Answer)
    assert ours.response.records == tuple(b"".join(record.strings) for record in theirs.answer)
    assert ours.seconds == theirs.minimum_ttl
