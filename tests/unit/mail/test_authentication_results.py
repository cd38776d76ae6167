"""Authentication-Results, as RFC 8601 has it and as rspamd writes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.errors import MessageError
from mxfleet.mail.authentication_results import MethodResult, parse

RSPAMD = """world.peer.test;
\tdkim=pass header.d=corp.test header.s=r20261124-7f3c9a header.b=l50lpB/P;
\tdkim=fail ("body hash; did not (verify)") header.d=corp.test header.s=e1 header.b="a b\\"c";
\tspf=pass (world.peer.test: domain of alice@corp.test designates 10.77.0.11 as permitted sender)\
 smtp.mailfrom=alice@corp.test;
\tdmarc=pass (policy=reject) header.from=corp.test"""


def test_what_rspamd_writes() -> None:
    found = parse(RSPAMD)
    assert found.authserv_id == "world.peer.test"
    assert [(result.method, result.result) for result in found.results] == [
        ("dkim", "pass"),
        ("dkim", "fail"),
        ("spf", "pass"),
        ("dmarc", "pass"),
    ]
    assert found.of("spf")[0].properties == {"smtp.mailfrom": "alice@corp.test"}
    assert found.of("dkim")[1].properties["header.b"] == 'a b"c'
    assert [found.verdict(method) for method in ("spf", "dkim", "dmarc", "arc")] == [
        "pass",
        "pass",
        "pass",
        "none",
    ]


@pytest.mark.parametrize(
    ("text", "results"),
    [
        ("example.org 1; none", ()),
        ("example.com; NONE", ()),
        ("example.org", ()),
        ("example.org; spf=Pass", (MethodResult("spf", "pass"),)),
        ("example.org; spf=fail;", (MethodResult("spf", "fail"),)),
        (
            '"example.org" 1 ; auth/1 = pass reason="good (sig;nature)"',
            (MethodResult("auth", "pass", "good (sig;nature)"),),
        ),
        ("foo.example (foobar) 1 (baz); dkim (Because I like it) / 1 (One yay)", None),
        (
            "example.com; sender-id=fail header.from=example.com; dkim=pass (good signature) header.d=example.com",
            (
                MethodResult("sender-id", "fail", "", {"header.from": "example.com"}),
                MethodResult("dkim", "pass", "", {"header.d": "example.com"}),
            ),
        ),
    ],
)
def test_examples_of_rfc_8601(text: str, results: tuple[MethodResult, ...] | None) -> None:
    if results is None:  # RFC 8601 appendix B.7 in full is legal; half of it is not
        with pytest.raises(MessageError):
            parse(text)
    else:
        assert parse(text).results == results


@pytest.mark.parametrize(
    "text",
    [
        "",
        "; spf=pass",
        '""; spf=pass',
        "example.org 2; spf=pass",
        "example.org spf=pass",
        "example.org; spf",
        "example.org; =pass",
        "example.org; spf=",
        "example.org; spf=pass smtp.mailfrom",
        "example.org; spf=pass mailfrom=x",
        "example.org; spf=pass (open",
        'example.org; spf=pass reason="open',
        "example.org; none; spf=pass",
        "example.org; spf=pass; none",
        "example.org; spf=pass)",
        "example.org;",
    ],
)
def test_what_is_no_such_field(text: str) -> None:
    with pytest.raises(MessageError):
        parse(text)


def test_a_pass_in_a_comment_or_a_string_is_no_pass() -> None:
    assert parse("a.test; spf=fail (spf=pass) smtp.helo=x").verdict("spf") == "fail"
    assert parse('a.test; spf=fail reason="; spf=pass"').verdict("spf") == "fail"


@given(st.text('ab12 ;=()"\\./\t@-', max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except MessageError:
        return
    assert found.authserv_id
