"""Authentication-Results: what we write is what is read, and what pretends to be ours goes."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.arc import Arc
from mxfleet.mail.authentication_fields import render, without_forged
from mxfleet.mail.authentication_results import AuthenticationResults, MethodResult, parse
from mxfleet.mail.dkim.verify import Dkim
from mxfleet.mail.dmarc.check import Dmarc
from mxfleet.mail.dmarc.record import DmarcRecord
from mxfleet.mail.evidence import Evidence
from mxfleet.mail.iprev import Iprev
from mxfleet.mail.message import parse_headers
from mxfleet.mail.spf.result import Spf

WORDS = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
VALUES = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
RESULTS = st.builds(
    MethodResult,
    WORDS,
    WORDS,
    VALUES,
    st.dictionaries(st.builds("{}.{}".format, WORDS, WORDS), VALUES, max_size=3),
)


@given(VALUES.filter(bool).map(str.lower), st.lists(RESULTS, max_size=4))
def test_what_is_written_is_read(authserv_id: str, results: list[MethodResult]) -> None:
    found = AuthenticationResults(authserv_id, tuple(results))
    raw = render(found)
    (field,) = parse_headers(raw).fields
    assert parse(field.text) == found
    assert raw.isascii()
    assert all(
        len(line) <= 78 or line.count(b" ") <= 1 + line.count(b'"') * 40 for line in raw.split(b"\r\n")
    )


@given(st.text(max_size=40))
def test_no_value_begins_a_field_or_a_result_of_its_own(text: str) -> None:
    raw = render(
        AuthenticationResults("mx.test", (MethodResult("spf", "fail", text, {"smtp.mailfrom": text}),))
    )
    headers = parse_headers(raw)
    assert len(headers.fields) == 1
    assert [(r.method, r.result) for r in parse(headers.fields[0].text).results] == [("spf", "fail")]


def test_the_field_of_a_message() -> None:
    evidence = Evidence(
        ip_address("2001:db8::1"),
        "mail.a.test",
        "alice@a.test",
        iprev=Iprev("pass", "mail.a.test"),
        helo=Spf("none", "helo", "mail.a.test", reason="mail.a.test publishes no SPF record"),
        spf=Spf("pass", "mailfrom", "a.test", "ip6:2001:db8::/32", "matches"),
        dkim=(
            Dkim("pass", "a.test", "r1", "rsa-sha256", "@a.test", "abc/DEF="),
            Dkim(
                "fail",
                "b.test",
                "e1",
                "ed25519-sha256",
                "@b.test",
                "12345678",
                "the body; is another",
                testing=True,
            ),
        ),
        arc=Arc("none"),
        dmarc=Dmarc(
            "pass", "a.test", "reject", "aligned", True, True, record=DmarcRecord("v=DMARC1; p=reject")
        ),
    )
    assert render(evidence.results("mx.corp.test")).decode().splitlines() == [
        "Authentication-Results: mx.corp.test;",
        '\tiprev=pass policy.iprev="2001:db8::1";',
        "\tspf=pass smtp.mailfrom=alice@a.test;",
        "\tdkim=pass header.d=a.test header.s=r1 header.a=rsa-sha256",
        '\theader.b="abc/DEF=";',
        '\tdkim=fail reason="the body; is another (testing)" header.d=b.test header.s=e1',
        "\theader.a=ed25519-sha256 header.b=12345678;",
        "\tarc=none;",
        "\tdmarc=pass header.from=a.test policy.dmarc=reject",
    ]


def test_the_field_of_a_bounce_without_a_signature() -> None:
    evidence = Evidence(
        ip_address("192.0.2.1"), "mail.a.test", "", spf=Spf("fail", "mailfrom", "mail.a.test", "-all", "-all matches"),
        dkim=(), dmarc=Dmarc("permerror", reason="the message has 2 From fields"),
    )  # fmt: skip
    results = evidence.results("mx.corp.test").results
    assert [(r.method, r.result, r.properties) for r in results] == [
        ("spf", "fail", {"smtp.helo": "mail.a.test"}),
        ("dkim", "none", {}),
        ("dmarc", "permerror", {}),
    ]
    assert Evidence(ip_address("192.0.2.1"), "h", "").results("mx.corp.test").results == ()


def test_an_explanation_is_not_longer_than_a_line_may_be() -> None:
    long = Spf("permerror", "mailfrom", "a.test", reason="x" * 2000)
    evidence = Evidence(ip_address("192.0.2.1"), "h", "a@a.test", spf=long)
    assert max(map(len, render(evidence.results("mx.test")).split(b"\r\n"))) < 998


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("mx.corp.test; spf=pass", False),
        ("MX.Corp.TEST 1; dmarc=pass", False),
        ('"mx.corp.test"; dmarc=pass', False),
        (" (a comment) mx.corp.test (another) 1; dmarc=pass", False),
        ("mx.corp.test\r\n ; dmarc=pass", False),
        ("mx.corp.test; dmarc=pass (broken", False),
        ("mx.corp.test", False),
        ("mx1.corp.test; none", False),
        ("; dmarc=pass", False),
        ("(open mx.corp.test; dmarc=pass", False),
        ("", False),
        ("mx.other.test; dmarc=pass", True),
        ("mx.other.test; dmarc=pass (mx.corp.test", True),
        ("mx.corp.test.evil.test; dmarc=pass", True),
        ("mx.other.test; dmarc=pass (" + "x" * 20_000 + ")", False),
    ],
)
def test_what_pretends_to_be_ours_is_removed(text: str, kept: bool) -> None:
    raw = f"Subject: x\r\nAUTHENTICATION-RESULTS : {text}\r\nFrom: a@a.test\r\n".encode()
    headers = without_forged(parse_headers(raw), {"mx.corp.test", "mx1.corp.test"})
    assert headers.count("Authentication-Results") == kept
    assert headers.raw == (raw if kept else b"Subject: x\r\nFrom: a@a.test\r\n")
    assert [field.name for field in headers] == [
        b"subject",
        *([b"authentication-results"] if kept else []),
        b"from",
    ]
