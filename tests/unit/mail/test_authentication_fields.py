"""Authentication-Results: what we write is what is read, and what pretends to be ours goes."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.arc import Arc
from mxfleet.mail.authentication_fields import render, without_forged
from mxfleet.mail.authentication_results import MethodResult, parse
from mxfleet.mail.dkim.verify import Dkim
from mxfleet.mail.dmarc.check import Dmarc
from mxfleet.mail.dmarc.record import DmarcRecord
from mxfleet.mail.evidence import Evidence
from mxfleet.mail.iprev import Iprev
from mxfleet.mail.message import parse_headers
from mxfleet.mail.spf.result import Spf

VALUES = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30)
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
SPF = st.builds(
    Spf,
    st.sampled_from(["none", "pass", "fail"]),
    st.just("mailfrom"),
    NAMES,
    st.just(""),
    st.just("") | VALUES,
)
DKIM = st.builds(Dkim, st.sampled_from(["pass", "fail"]), VALUES, VALUES, VALUES, VALUES, VALUES)
ADDRESS = ip_address("192.0.2.1")


@given(VALUES.map(str.lower), VALUES, st.none() | SPF, st.none() | st.lists(DKIM, max_size=3).map(tuple))
def test_what_is_written_is_read(
    authserv_id: str, sender: str, spf: Spf | None, dkim: tuple[Dkim, ...] | None
) -> None:
    evidence = Evidence(ADDRESS, "h", sender, spf=spf, dkim=dkim)
    raw = render(authserv_id, evidence.results())
    (field,) = parse_headers(raw).fields
    found = parse(field.text)
    assert found.authserv_id == authserv_id
    assert found.of("spf") == _read_spf(spf, sender)
    signatures = (("none", {}),) if dkim == () else [(one.result, _properties(one)) for one in dkim or ()]
    assert [(one.result, one.properties) for one in found.of("dkim")] == list(signatures)
    assert raw.isascii()
    assert all(
        len(line) <= 78 or line.count(b" ") <= 1 + line.count(b'"') * 40 for line in raw.split(b"\r\n")
    )


def _read_spf(spf: Spf | None, sender: str) -> tuple[MethodResult, ...]:
    if spf is None:
        return ()
    reason = "" if spf.result == "pass" else spf.reason
    return (MethodResult("spf", spf.result, reason, {"smtp.mailfrom": sender}),)


def _properties(verdict: Dkim) -> dict[str, str]:
    names = ("header.d", "header.s", "header.a", "header.b")
    return dict(zip(names, (verdict.domain, verdict.selector, verdict.algorithm, verdict.head), strict=True))


@given(st.text(max_size=40))
def test_no_value_begins_a_field_or_a_result_of_its_own(text: str) -> None:
    """Whatever a client, a domain or a signer says."""
    signature = Dkim("fail", text, text, text, text, text, text)
    evidence = Evidence(
        ADDRESS, text, text, spf=Spf("fail", "mailfrom", text, text, text), dkim=(signature,),
        arc=Arc("fail", text), dmarc=Dmarc("fail", text, reason=text, record=DmarcRecord(text)),
    )  # fmt: skip
    headers = parse_headers(render("mx.test", evidence.results()))
    assert len(headers.fields) == 1
    found = [(one.method, one.result) for one in parse(headers.fields[0].text).results]
    assert found == [(method, "fail") for method in ("spf", "dkim", "arc", "dmarc")]


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
    assert render("mx.corp.test", evidence.results()).decode().splitlines() == [
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
    assert render("mx.corp.test", evidence.results()).decode().splitlines() == [
        "Authentication-Results: mx.corp.test;",
        '\tspf=fail reason="-all matches" smtp.helo=mail.a.test;',
        "\tdkim=none;",
        '\tdmarc=permerror reason="the message has 2 From fields"',
    ]
    assert render("mx.corp.test", Evidence(ADDRESS, "h", "").results()) == (
        b"Authentication-Results: mx.corp.test;\r\n\tnone\r\n"
    )


def test_an_explanation_is_not_longer_than_a_line_may_be() -> None:
    long = Spf("permerror", "mailfrom", "a.test", reason="x" * 2000)
    evidence = Evidence(ip_address("192.0.2.1"), "h", "a@a.test", spf=long)
    assert max(map(len, render("mx.test", evidence.results()).split(b"\r\n"))) < 998


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
