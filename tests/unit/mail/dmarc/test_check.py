"""Whole evaluations: alignment by SPF and DKIM, policies, several authors, and no answers (RFC 9989 §5.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.dkim.verify import Dkim, DkimResult
from mxfleet.mail.dmarc.check import Dmarc, check_dmarc, questions_ahead
from mxfleet.mail.message import parse_headers
from mxfleet.mail.questions import Question
from mxfleet.mail.spf.result import Spf, SpfResult
from tests.unit.mail.zone import TIMEOUT, Zone, answer_from

REJECT = {
    "_dmarc.example.com TXT": "v=DMARC1; p=reject; sp=quarantine; np=reject",
    "www.example.com A": "192.0.2.1",
}


def spf(domain: str, result: SpfResult = "pass") -> Spf:
    return Spf(result, "mailfrom", domain)


def dkim(domain: str, result: DkimResult = "pass") -> Dkim:
    return Dkim(result, domain, "s1")


def check(
    author: str, entries: dict[str, object], spf: Spf | None = None, *signatures: Dkim, raw: bytes = b""
) -> Dmarc:
    headers = parse_headers(raw or f"From: {author}\r\n".encode())
    return answer_from(entries, check_dmarc(headers, spf, signatures))


@pytest.mark.parametrize(
    ("author", "mail_from", "signer", "result"),
    [
        # RFC 9989 B.1.1: SPF, strict, relaxed, none
        ("sender@example.com", "example.com", "", "pass"),
        ("sender@example.com", "child.example.com", "", "pass"),
        ("sender@child.example.com", "example.net", "", "fail"),
        # RFC 9989 B.1.2: DKIM, strict, relaxed, none
        ("sender@example.com", "", "example.com", "pass"),
        ("sender@child.example.com", "", "example.com", "pass"),
        ("sender@child.example.com", "", "example.net", "fail"),
        # §4.4, table 1
        ("sender@news.example.com", "foo.example.com", "", "pass"),
        # neighbours and look-alikes
        ("sender@example.com", "notexample.com", "badexample.com", "fail"),
        ("sender@example.com", "com", "com", "fail"),
        ("sender@example.com", "example.com.evil.test", "", "fail"),
    ],
)
def test_the_identifiers_of_the_same_organisation_are_aligned(
    author: str, mail_from: str, signer: str, result: str
) -> None:
    signatures = (dkim(signer),) if signer else ()
    found = check(author, dict(REJECT), spf(mail_from) if mail_from else None, *signatures)
    assert found.result == result
    assert (found.spf_aligned, found.dkim_aligned) == (
        (result == "pass" and bool(mail_from)),
        (result == "pass" and bool(signer)),
    )


def test_strict_alignment_is_equality() -> None:
    entries: dict[str, object] = {"_dmarc.example.com TXT": "v=DMARC1; p=reject; adkim=s; aspf=s"}
    assert check("a@example.com", entries, spf("www.example.com"), dkim("www.example.com")).result == "fail"
    assert check("a@example.com", entries, spf("example.com")).reason == "aligned by SPF"
    assert check("a@example.com", entries, None, dkim("example.com")).reason == "aligned by DKIM"


def test_giants_of_one_public_suffix_do_not_speak_for_each_other() -> None:
    """RFC 9989 B.3.3."""
    entries: dict[str, object] = {
        "_dmarc.bank.example TXT": "v=DMARC1; p=reject; psd=y",
        "_dmarc.giant.bank.example TXT": "v=DMARC1; p=quarantine",
    }
    both = check(
        "x@giant.bank.example", entries, spf("mail.giant.bank.example"), dkim("mail.mega.bank.example")
    )
    assert (both.result, both.spf_aligned, both.dkim_aligned) == ("pass", True, False)
    other = check("x@giant.bank.example", entries, None, dkim("mail.mega.bank.example"))
    assert (other.result, other.disposition, other.record_domain) == (
        "fail",
        "quarantine",
        "giant.bank.example",
    )
    suffix = check("x@mega.bank.example", entries)
    assert (suffix.result, suffix.disposition, suffix.record_domain) == ("fail", "reject", "bank.example")


@pytest.mark.parametrize(
    ("author", "policy"),
    [("a@example.com", "reject"), ("a@www.example.com", "quarantine"), ("a@nothing.example.com", "reject")],
)
def test_the_policy_for_the_domain_a_subdomain_and_one_that_does_not_exist(author: str, policy: str) -> None:
    found = check(author, dict(REJECT))
    assert (found.result, found.disposition) == ("fail", policy)


def test_a_domain_that_is_testing_asks_for_one_level_less() -> None:
    for policy, asked in (("reject", "quarantine"), ("quarantine", "none"), ("none", "none")):
        entries: dict[str, object] = {"_dmarc.example.com TXT": f"v=DMARC1; p={policy}; t=y"}
        found = check("a@example.com", entries)
        assert (found.result, found.disposition, found.testing) == ("fail", asked, True)


def test_existence_is_asked_only_of_failures_for_which_it_matters() -> None:
    question = Question("nothing.example.com", "A")
    for entries, signer, asks in (
        (dict(REJECT), "example.com", False),
        (dict(REJECT), "evil.test", True),
        ({"_dmarc.example.com TXT": "v=DMARC1; p=reject"}, "evil.test", False),
    ):
        resolve = Zone(entries)
        answer_from(
            resolve, check_dmarc(parse_headers(b"From: a@nothing.example.com\r\n"), None, [dkim(signer)])
        )
        assert (question in resolve.asked) == asks


def test_what_did_not_pass_speaks_for_nobody() -> None:
    assert (
        check(
            "a@example.com", dict(REJECT), spf("example.com", "softfail"), dkim("example.com", "fail")
        ).result
        == "fail"
    )
    helo = Spf("pass", "helo", "example.com")
    assert check("a@example.com", dict(REJECT), helo).result == "fail"


def test_without_a_record_there_is_no_verdict() -> None:
    found = check("a@example.com", {}, spf("example.com"))
    assert (found.result, found.disposition) == ("none", "none")
    void: dict[str, object] = {"_dmarc.example.com TXT": "v=DMARC1; p=refuse"}
    assert check("a@example.com", void, spf("example.com")).result == "none"


@pytest.mark.parametrize(
    ("entries", "result"),
    [
        ({"_dmarc.example.com": TIMEOUT}, "temperror"),
        ({**REJECT, "_dmarc.www.example.com": TIMEOUT}, "temperror"),
        ({**REJECT, "_dmarc.com": TIMEOUT}, "temperror"),
    ],
)
def test_no_answer_is_neither_pass_nor_fail(entries: dict[str, object], result: str) -> None:
    assert check("a@www.example.com", entries, None, dkim("signing.example.com")).result == result


@pytest.mark.parametrize(
    ("silent", "domain", "aligned"),
    [
        ("_dmarc.www.example.com", "www.example.com", True),
        (
            "_dmarc.www.example.com",
            "signing.example.com",
            True,
        ),  # example.com is known to be the organisation
        ("_dmarc.www.example.com", "evil.test", False),
        ("_dmarc.www.example.com", "evil.com", False),
        ("_dmarc.example.com", "www.example.com", True),
        ("_dmarc.example.com", "signing.example.com", False),  # whose, nobody knows now
        ("_dmarc.com", "signing.example.com", True),
        ("_dmarc.com", "evil.com", False),
    ],
)
def test_without_a_verdict_what_is_aligned_is_told_as_far_as_it_is_known(
    silent: str, domain: str, aligned: bool
) -> None:
    entries = {**REJECT, silent: TIMEOUT}
    entries.pop(f"{silent} TXT", None)
    by_dkim = check("a@www.example.com", dict(entries), None, dkim(domain))
    by_spf = check("a@www.example.com", dict(entries), spf(domain))
    assert (by_dkim.result, by_spf.result) == ("temperror", "temperror")
    assert (by_dkim.dkim_aligned, by_dkim.spf_aligned) == (aligned, False)
    assert (by_spf.dkim_aligned, by_spf.spf_aligned) == (False, aligned)


def test_of_several_authors_without_a_verdict_the_one_that_nobody_answers_for_counts() -> None:
    raw = b"From: a@example.com, b@other.test\r\nSender: a@example.com\r\n"
    silent: dict[str, object] = {"_dmarc.example.com": TIMEOUT, "_dmarc.other.test": TIMEOUT}
    found = check("", silent, None, dkim("example.com"), raw=raw)
    assert (found.result, found.domain, found.aligned) == ("temperror", "other.test", False)


def test_an_unanswered_aligned_identifier_keeps_the_verdict_open_and_others_do_not() -> None:
    assert check("a@example.com", dict(REJECT), spf("www.example.com", "temperror")).result == "temperror"
    assert check("a@example.com", dict(REJECT), None, dkim("example.com", "temperror")).result == "temperror"
    assert check("a@example.com", dict(REJECT), spf("evil.test", "temperror")).result == "fail"
    both = check("a@example.com", dict(REJECT), spf("example.com", "temperror"), dkim("example.com"))
    assert both.result == "pass"


def test_existence_that_nobody_knows_leaves_the_policy_open() -> None:
    assert check("a@gone.example.com", {**REJECT, "gone.example.com": TIMEOUT}).result == "temperror"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"To: x@y.test\r\n", "0 From fields"),
        (b"From: a@example.com\r\nFrom: b@evil.test\r\n", "2 From fields"),
        (b"From: <a@example.com> <b@evil.test>\r\n", "cannot be read"),
        (b"From: Nobody:;\r\n", "names no domain"),
        (b"From: a@[192.0.2.1]\r\n", "names no domain"),
        (b"From: a@a.test, a@b.test, a@c.test, a@d.test, a@e.test\r\n", "more than 4"),
    ],
)
def test_a_message_without_a_clear_author_is_permerror(raw: bytes, reason: str) -> None:
    found = check("", dict(REJECT), spf("example.com"), dkim("evil.test"), raw=raw)
    assert found.result == "permerror"
    assert reason in found.reason


def test_of_several_authors_the_worst_verdict_and_the_strictest_policy_count() -> None:
    entries: dict[str, object] = {
        "_dmarc.a.test TXT": "v=DMARC1; p=quarantine",
        "_dmarc.b.test TXT": "v=DMARC1; p=reject",
        "_dmarc.c.test TXT": "v=DMARC1; p=reject",
    }
    found = check("x@a.test, y@b.test, z@c.test", entries, spf("c.test"))
    assert (found.result, found.domain, found.disposition) == ("fail", "b.test", "reject")
    assert check("x@a.test, y@b.test", entries, spf("a.test"), dkim("b.test")).result == "pass"
    assert check("x@a.test, y@nothing.test", entries, spf("a.test")).result == "none"


def test_the_same_domain_twice_is_one() -> None:
    assert check("x@example.com, y@EXAMPLE.com", dict(REJECT), spf("example.com")).result == "pass"


def test_a_plain_pass_asks_one_question() -> None:
    resolve = Zone(dict(REJECT))
    headers = parse_headers(b"From: a@example.com\r\n")
    assert (
        answer_from(resolve, check_dmarc(headers, spf("example.com"), [dkim("example.com")])).result == "pass"
    )
    assert resolve.asked == [Question("_dmarc.example.com", "TXT")]
    assert questions_ahead(headers) == (Question("_dmarc.example.com", "TXT"), Question("_dmarc.com", "TXT"))
    assert questions_ahead(parse_headers(b"From: nobody\r\n")) == ()


NAMES = st.sampled_from(["com", "a.com", "b.com", "x.a.com", "y.x.a.com", "x.b.com"])
RECORDS = st.sampled_from(
    ["v=DMARC1; p=reject", "v=DMARC1; p=none; psd=y", "v=DMARC1; psd=n; p=none", "v=DMARC1"]
)


@given(NAMES, NAMES, st.dictionaries(NAMES, RECORDS))
def test_alignment_is_mutual(author: str, signer: str, records: dict[str, str]) -> None:
    """If A may speak for B, B may for A: they have one organisation."""
    entries: dict[str, object] = {
        f"_dmarc.{name} TXT": f"{text}; rua=mailto:x@y.test" for name, text in records.items()
    }
    one, other = (
        check(f"x@{author}", entries, None, dkim(signer)),
        check(f"x@{signer}", entries, None, dkim(author)),
    )
    if "none" not in (one.result, other.result):
        assert one.result == other.result
