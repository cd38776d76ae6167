"""Which TLS a host must have: every combination of what the operator, DANE and MTA-STS say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.dane import Requirement
from mxfleet.mail.mta_sts_policy import Policy
from mxfleet.mail.questions import Tlsa
from mxfleet.mail.sending_tls import WISHES, Level, Rule, decide, failure, not_offered, wished

HOST = "mx.peer.test"
RECORD = Tlsa(3, 1, 1, bytes(32))
NONE = Requirement("none", "the MX records are not signed")
DEFER = Requirement("defer", "TLSA of mx.peer.test: SERVFAIL")
PINNED = Requirement("authenticate", "TLSA of mx.peer.test", (RECORD,), HOST, (HOST,))
USELESS = Requirement("encrypt", "no TLSA record of mx.peer.test is usable", (), HOST)


def policy(mode: str, *mx: str) -> Policy:
    return Policy(mode, 86_400, mx or (HOST,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dane", "sts", "level", "by"),
    [
        (NONE, None, "opportunistic", ""),
        (NONE, policy("none"), "opportunistic", ""),
        (NONE, policy("enforce"), "verify", "MTA-STS enforce"),
        (NONE, policy("enforce", "other.test"), "refuse", "MTA-STS enforce"),
        (NONE, policy("testing"), "verify", "MTA-STS testing"),
        (NONE, policy("testing", "other.test"), "opportunistic", "MTA-STS testing"),
        (PINNED, None, "dane", "DANE"),
        (PINNED, policy("enforce", "other.test"), "dane", "DANE"),
        (USELESS, policy("enforce"), "encrypt", "DANE"),
        (DEFER, policy("enforce"), "refuse", "DANE"),
        (DEFER, None, "refuse", "DANE"),
    ],
)
def test_dane_comes_before_mta_sts_and_that_before_nothing(
    dane: Requirement, sts: Policy | None, level: Level, by: str
) -> None:
    rule = decide(HOST, dane, sts)
    assert (rule.level, rule.policy) == (level, by)


def test_testing_asks_for_the_same_and_requires_nothing() -> None:
    assert not decide(HOST, NONE, policy("testing")).required
    assert decide(HOST, NONE, policy("enforce")).required
    assert decide(HOST, NONE, policy("testing", "other.test")).trying


def test_what_is_refused_is_refused_for_now_and_says_why() -> None:
    assert str(decide(HOST, DEFER, None).refusal) == (
        "451 4.4.3 Nobody knows for now whether mx.peer.test requires TLS (DANE): TLSA of mx.peer.test: SERVFAIL"
    )
    outside = decide("x.test", NONE, policy("enforce", "a.test", "b.test", "c.test", "d.test"))
    assert str(outside.refusal) == (
        "450 4.7.5 MTA-STS: x.test is none of the hosts in the domain's policy: a.test, b.test, c.test and 1 more"
    )
    assert str(decide(HOST, NONE, None, "dane").refusal) == (
        "450 4.7.5 DANE is required for mx.peer.test by the fleet's setting, and there is none: "
        "the MX records are not signed"
    )


@pytest.mark.parametrize(
    ("wish", "level", "required"),
    [("none", "none", False), ("opportunistic", "opportunistic", False), ("encrypt", "encrypt", True), ("verify", "verify", True)],
)  # fmt: skip
def test_the_operator_has_the_last_word(wish: str, level: Level, required: bool) -> None:
    rule = wished(wish, HOST)  # type: ignore[arg-type]
    assert rule is not None
    assert (rule.level, rule.required, rule.policy) == (level, required, "the fleet's setting")


@pytest.mark.parametrize("wish", ["", "dane"])
def test_without_his_word_or_with_dane_the_dns_is_asked(wish: str) -> None:
    assert wished(wish, HOST) is None  # type: ignore[arg-type]


def test_a_failure_says_who_wants_what_and_what_was_found() -> None:
    expired = "its certificate is not believed: certificate has expired"
    assert str(failure(decide(HOST, NONE, policy("enforce")), HOST, expired)) == (
        "450 4.7.5 MTA-STS enforce requires a certificate for mx.peer.test of a trusted authority, "
        "and mx.peer.test does not have it: " + expired
    )
    assert (
        "DANE requires its certificate to be the published one"
        in failure(decide(HOST, PINNED, None), HOST, "x").text
    )
    assert str(not_offered(decide(HOST, PINNED, None), HOST)) == (
        "450 4.7.4 DANE requires TLS, and mx.peer.test does not offer it (no STARTTLS)"
    )
    assert not_offered(Rule("encrypt"), HOST).text.startswith("TLS is required, and")


REQUIREMENTS = st.sampled_from([NONE, DEFER, PINNED, USELESS])
POLICIES = st.sampled_from([None, *(policy(m, *x) for m in ("none", "testing", "enforce") for x in ((), ("y.test",)))])  # fmt: skip


@given(dane=REQUIREMENTS, sts=POLICIES, wish=st.sampled_from(["", "dane"]))
def test_nothing_weakens_what_dane_wants(dane: Requirement, sts: Policy | None, wish: str) -> None:
    rule = decide(HOST, dane, sts, wish)  # type: ignore[arg-type]
    if dane.level == "authenticate":
        assert rule.level == "dane"
        assert rule.required
    if dane.level == "encrypt" and not wish:
        assert rule.required
    if dane.level == "defer":
        assert rule.refusal is not None
    assert (rule.refusal is not None) == (rule.level == "refuse")
    assert rule.refusal is None or rule.refusal.temporary  # a policy is mended sooner than mail is lost


def test_every_wish_that_settings_may_have_is_known() -> None:
    assert {wish for wish in WISHES if wished(wish, HOST) is None} == {"dane"}
