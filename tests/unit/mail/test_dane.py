"""What DANE asks of a connection (RFC 7672 §2): a zone of answers in, a requirement out."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from mxfleet.mail.dane import Requirement, require, usable
from mxfleet.mail.questions import Answer, NoData, NxDomain, Question, Response, TempError, Tlsa, drive

A = IPv4Address("192.0.2.1")
AAAA = IPv6Address("2001:db8::1")
EE = Tlsa(3, 1, 1, b"e" * 32)
TA = Tlsa(2, 0, 1, b"t" * 32)
PKIX = Tlsa(1, 1, 1, b"p" * 32)


def ask(
    zone: dict[tuple[str, str], Response], *, secure: bool = True, host: str = "mx.b.test"
) -> Requirement:
    def resolve(question: Question) -> Response:
        return zone.get((question.name, question.type), NoData(authenticated=True))

    return drive(require(host, domain="B.test", secure=secure), resolve)


def signed(*records: object, alias_of: str = "") -> Response:
    return Answer(records, authenticated=True, alias_of=alias_of)  # type: ignore[arg-type]


def test_signed_records_under_a_signed_name_are_required() -> None:
    found = ask({("mx.b.test", "A"): signed(A), ("_25._tcp.mx.b.test", "TLSA"): signed(EE, PKIX)})
    assert found.level == "authenticate"
    assert found.records == (EE,)
    assert found.base == "mx.b.test"
    assert found.names == ("mx.b.test", "b.test")


def test_without_signed_mx_records_nothing_is_asked_at_all() -> None:
    check = require("mx.b.test", secure=False)
    with pytest.raises(StopIteration) as end:
        next(check)
    assert end.value.value.level == "none"


@pytest.mark.parametrize("host", ["", "a b..test", "x" * 300])
def test_what_is_no_name_has_no_records(host: str) -> None:
    assert ask({}, host=host).level == "none"


def test_below_an_unsigned_name_no_tlsa_question_is_asked() -> None:
    zone: dict[tuple[str, str], Response] = {
        ("mx.b.test", "A"): Answer((A,)),
        ("mx.b.test", "AAAA"): NoData(),
        ("_25._tcp.mx.b.test", "TLSA"): TempError(),
    }
    assert ask(zone).level == "none"


def test_one_signed_family_is_enough() -> None:
    zone = {("mx.b.test", "A"): TempError(), ("mx.b.test", "AAAA"): signed(AAAA)}
    assert ask({**zone, ("_25._tcp.mx.b.test", "TLSA"): signed(TA)}).level == "authenticate"


@pytest.mark.parametrize(
    ("a", "aaaa", "level"),
    [
        (TempError(), NoData(), "defer"),
        (TempError(), NoData(authenticated=True), "defer"),
        (TempError(), TempError(), "defer"),
        (NoData(), TempError(), "defer"),
        (Answer((A,)), TempError(), "none"),
        (TempError(), Answer((AAAA,)), "none"),
        (NxDomain(authenticated=True), TempError(), "none"),
        (NxDomain(), TempError(), "none"),
    ],
)
def test_no_answer_is_never_there_is_none(a: Response, aaaa: Response, level: str) -> None:
    assert ask({("mx.b.test", "A"): a, ("mx.b.test", "AAAA"): aaaa}).level == level


def test_no_answer_for_the_records_of_a_signed_host_leaves_it_alone() -> None:
    found = ask({("mx.b.test", "A"): signed(A), ("_25._tcp.mx.b.test", "TLSA"): TempError("SERVFAIL")})
    assert (found.level, found.reason) == ("defer", "TLSA of mx.b.test: SERVFAIL")


@pytest.mark.parametrize("answer", [NoData(True), NxDomain(True), NoData(), Answer((EE,))])
def test_without_signed_records_nothing_is_required(answer: Response) -> None:
    assert ask({("mx.b.test", "A"): signed(A), ("_25._tcp.mx.b.test", "TLSA"): answer}).level == "none"


def test_records_of_which_none_is_usable_still_ask_for_tls() -> None:
    found = ask({("mx.b.test", "A"): signed(A), ("_25._tcp.mx.b.test", "TLSA"): signed(PKIX)})
    assert (found.level, found.records) == ("encrypt", ())


def test_at_the_end_of_aliases_and_then_at_their_beginning() -> None:
    addresses = {("mx.b.test", "A"): signed(A, alias_of="Host.c.test")}
    end = {("_25._tcp.host.c.test", "TLSA"): signed(EE)}
    beginning = {("_25._tcp.mx.b.test", "TLSA"): signed(TA)}
    found = ask({**addresses, **end, **beginning})
    assert (found.base, found.records) == ("host.c.test", (EE,))
    assert found.names == ("host.c.test", "b.test", "mx.b.test")
    found = ask({**addresses, **beginning})
    assert (found.base, found.records) == ("mx.b.test", (TA,))


@pytest.mark.parametrize(
    "record",
    [
        Tlsa(0, 0, 1, b"x" * 32),
        Tlsa(1, 0, 1, b"x" * 32),
        Tlsa(3, 2, 1, b"x" * 32),
        Tlsa(3, 1, 3, b"x" * 32),
        Tlsa(3, 1, 1, b"x" * 31),
        Tlsa(3, 1, 2, b"x" * 32),
        Tlsa(3, 1, 0, b""),
        Tlsa(255, 255, 255, b"x"),
    ],
)
def test_records_of_unknown_forms_do_not_count(record: Tlsa) -> None:
    assert usable([record]) == ()


def test_only_the_strongest_digest_of_a_form_counts() -> None:
    """RFC 7671 §9."""
    weak, strong, full = Tlsa(3, 1, 1, b"w" * 32), Tlsa(3, 1, 2, b"s" * 64), Tlsa(3, 1, 0, b"full")
    other = Tlsa(3, 0, 1, b"o" * 32)
    assert usable([weak, strong, full, other, weak]) == (strong, full, other)
    assert usable([weak, full]) == (weak, full)
