"""DMARC records: what counts, what is passed over, and what voids one (RFC 9989 §4.7, §4.8, §4.10.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.dmarc.record import DmarcRecord, milder, parse_dmarc_record, strictest, the_record


def record(text: str) -> DmarcRecord:
    found = the_record([text.encode()])
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "policies"),
    [
        ("v=DMARC1; p=none", ("none", "none", "none")),
        ("v=DMARC1;p=reject", ("reject", "reject", "reject")),
        ("v = DMARC1 ; P = Quarantine ;", ("quarantine", "quarantine", "quarantine")),
        ("v=DMARC1; sp=quarantine; p=reject", ("reject", "quarantine", "quarantine")),
        ("v=DMARC1; p=none; np=reject", ("none", "none", "reject")),
        ("v=DMARC1; p=none; sp=quarantine; np=reject", ("none", "quarantine", "reject")),
        ("v=DMARC1; p=reject; pct=0; ri=1; unknown; =x; fo=1", ("reject", "reject", "reject")),
        ("v=DMARC1; p=reject; p=none", ("reject", "reject", "reject")),
        # §4.10.1: broken, but it asks for reports
        ("v=DMARC1; rua=mailto:d@a.test", ("none", "none", "none")),
        ("v=DMARC1; p=refuse; sp=reject; rua=mailto:d@a.test", ("none", "none", "none")),
        ("v=DMARC1; p=reject; np=refuse; rua=mailto:d@a.test", ("none", "none", "none")),
    ],
)
def test_the_policies_for_the_domain_for_those_below_and_for_those_that_do_not_exist(
    text: str, policies: tuple[str, str, str]
) -> None:
    found = record(text)
    assert (found.policy, found.subdomain_policy, found.absent_policy) == policies
    assert found.defect == ""


@pytest.mark.parametrize(
    "text",
    [
        "v=DMARC1",
        "v=DMARC1; p=",
        "v=DMARC1; p=refuse",
        "v=DMARC1; p=reject; sp=no",
        "v=DMARC1; p=reject; np=",
        "v=DMARC1; rua=nowhere",
        "v=DMARC1; psd=y",
    ],
)
def test_a_record_without_a_policy_or_reports_applies_to_nothing(text: str) -> None:
    assert record(text).defect != ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DMARC1",
        "v=DMARC2; p=none",
        "v=dmarc1; p=none",
        "v=DMARC10",
        "p=none; v=DMARC1",
        " v=DMARC1",
        "v=spf1",
    ],
)
def test_what_does_not_begin_with_the_version_is_no_record(text: str) -> None:
    assert the_record([text.encode()]) is None


def test_of_several_records_none_counts_but_other_texts_may_stand_beside_one() -> None:
    one = b"v=DMARC1; p=reject"
    assert the_record([one, one]) is None
    assert the_record([b"v=spf1 -all", one]) == parse_dmarc_record(one)
    assert the_record([]) is None


def test_every_other_tag() -> None:
    found = record(
        "v=DMARC1; p=none; adkim=S; aspf=s; t=Y; psd=Y; fo=1:d:s; "
        "rua=mailto:a@a.test!10m , https://b.test/r,bad; ruf=mailto:f@a.test"
    )
    assert (found.strict_dkim, found.strict_spf, found.testing, found.suffix) == (True, True, True, "y")
    assert found.aggregate_to == ("mailto:a@a.test", "https://b.test/r")
    assert found.failures_to == ("mailto:f@a.test",)
    assert found.failure_options == "1:d:s"
    relaxed = record("v=DMARC1; p=none; adkim=x; aspf=; t=maybe; psd=u")
    assert (relaxed.strict_dkim, relaxed.strict_spf, relaxed.testing, relaxed.suffix) == (
        False,
        False,
        False,
        "u",
    )


def test_milder_and_strictest() -> None:
    assert [milder(policy) for policy in ("none", "quarantine", "reject")] == ["none", "none", "quarantine"]
    assert strictest([]) == "none"
    assert strictest(["quarantine", "reject", "none"]) == "reject"


@given(st.binary(max_size=60))
def test_no_octets_are_a_crash(octets: bytes) -> None:
    the_record([octets])
    assert the_record([b"v=DMARC1;" + octets]) is not None
