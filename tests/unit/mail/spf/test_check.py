"""What the suite of RFC 7208 does not say: reasons, counting, names in macros, and what is asked."""

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.errors import MailError
from mxfleet.mail.questions import Question
from mxfleet.mail.spf.check import check_helo, check_mail_from
from mxfleet.mail.spf.macro import parse_explanation
from mxfleet.mail.spf.record import parse_spf_record
from mxfleet.mail.spf.result import Spf
from tests.unit.mail.zone import TIMEOUT, Zone, answer_from


def check(
    zone: dict[str, object], address: str = "192.0.2.1", sender: str = "alice@a.test", **facts: Any
) -> Spf:
    return answer_from(zone, check_mail_from(ip_address(address), "mail.a.test", sender, **facts))


def test_the_verdict_says_which_directive_of_which_domain_matched() -> None:
    zone: dict[str, object] = {
        "a.test TXT": "v=spf1 include:b.test redirect=c.test",
        "b.test TXT": "v=spf1 ip4:198.51.100.0/24 -all",
        "c.test TXT": "v=spf1 ip4:192.0.2.0/24 -all",
    }
    assert check(zone, "198.51.100.9") == Spf(
        "pass", "mailfrom", "a.test", "include:b.test", "include:b.test of a.test matches"
    )
    assert check(zone, "192.0.2.9").reason == "ip4:192.0.2.0/24 of c.test matches"
    assert check(zone, "2001:db8::1").mechanism == "-all"


@pytest.mark.parametrize(
    ("record", "personal"),
    [
        ("v=spf1 mx ptr a:a.test/24 include:b.test -all", False),
        ("v=spf1 exists:%{l}.ok.test -all", True),
        ("v=spf1 ip4:192.0.2.1 exists:%{i}.ok.test -all", False),
        ("v=spf1 redirect=%{d}", True),
        ("v=spf1 -all exp=plain.a.test", False),
        ("v=spf1 -all exp=why.a.test", True),
        ("v=spf1 -all exp=%{h}.a.test", True),
        ("v=spf1 include:c.test -all", True),
    ],
)
def test_a_verdict_is_personal_where_a_macro_was_expanded_on_the_way_to_it(
    record: str, personal: bool
) -> None:
    zone: dict[str, object] = {
        "a.test TXT": record,
        "a.test A": "198.51.100.1",
        "a.test MX": (10, "mx.a.test"),
        "mx.a.test A": "198.51.100.2",
        "b.test TXT": "v=spf1 ip4:198.51.100.0/24 -all",
        "c.test TXT": "v=spf1 exists:%{s}.ok.test -all",
        "plain.a.test TXT": "not from here",
        "why.a.test TXT": "not %{i} at %{t}",
    }
    verdict = check(zone)
    assert verdict.personal is personal
    if not personal:
        assert verdict == check(zone, sender="bob+x@a.test", timestamp=1, receiver="other.test")


def test_a_client_that_nothing_names_is_neutral_by_default() -> None:
    assert check({"a.test TXT": "v=spf1 ip4:10.0.0.1"}).mechanism == "default"


def test_the_null_reverse_path_stands_for_postmaster_at_the_helo_name() -> None:
    zone: dict[str, object] = {
        "mail.a.test TXT": "v=spf1 exists:%{l}.%{o}.ok.test -all",
        "postmaster.mail.a.test.ok.test A": "127.0.0.1",
    }
    verdict = check(zone, sender="")
    assert (verdict.result, verdict.identity, verdict.domain) == ("pass", "mailfrom", "mail.a.test")
    helo = answer_from(zone, check_helo(ip_address("192.0.2.1"), "mail.a.test"))
    assert (helo.result, helo.identity) == ("pass", "helo")


def test_an_odd_helo_name_is_no_mailbox() -> None:
    verdict = answer_from(
        {"b.test TXT": "v=spf1 +all"}, check_mail_from(ip_address("192.0.2.1"), "x@b.test", "")
    )
    assert verdict.result == "none"


def test_a_mapped_address_is_the_address_that_it_maps() -> None:
    assert check({"a.test TXT": "v=spf1 ip4:192.0.2.1 -all"}, "::ffff:192.0.2.1").result == "pass"


def test_modifier_and_mechanism_names_have_no_case() -> None:
    zone: dict[str, object] = {
        "a.test TXT": "V=SPF1 ReDirect=b.test",
        "b.test TXT": "v=spf1 IP4:192.0.2.1 -aLL",
    }
    assert check(zone).result == "pass"


@pytest.mark.parametrize(
    ("policy", "result"),
    [
        ("v=spf1 a:v1.test a:v2.test ip4:192.0.2.1 -all", "pass"),
        ("v=spf1 a:v1.test exists:v2.test mx:v3.test ip4:192.0.2.1 -all", "permerror"),
        # the hosts of one mx are one term, void only where they all are
        ("v=spf1 a:v1.test a:v2.test mx:some.test ip4:192.0.2.1 -all", "pass"),
        ("v=spf1 a:v1.test a:v2.test mx:gone.test ip4:192.0.2.1 -all", "permerror"),
        ("v=spf1 mx:gone.test mx:gone.test ip4:192.0.2.1 -all", "pass"),
    ],
)
def test_two_terms_without_an_answer_are_borne(policy: str, result: str) -> None:
    zone: dict[str, object] = {
        "a.test TXT": policy,
        "some.test MX": [(10, "h1.test"), (20, "h2.test"), (30, "h3.test")],
        "h3.test A": "198.51.100.1",
        "gone.test MX": [(10, "h1.test"), (20, "h2.test")],
    }
    assert check(zone).result == result


def test_ten_lookups_are_borne_and_the_eleventh_is_not() -> None:
    def chain(length: int) -> dict[str, object]:
        links: dict[str, object] = {
            f"s{n}.a.test TXT": f"v=spf1 include:s{n + 1}.a.test -all" for n in range(length)
        }
        return {
            **links,
            "a.test TXT": "v=spf1 include:s0.a.test -all",
            f"s{length}.a.test TXT": "v=spf1 +all",
        }

    assert check(chain(9)).result == "pass"
    over = check(chain(10))
    assert (over.result, "more than 10 terms" in over.reason) == ("permerror", True)


def test_an_endless_redirect_ends() -> None:
    assert check({"a.test TXT": "v=spf1 redirect=a.test"}).result == "permerror"


def test_no_answer_is_temperror_wherever_it_is_missing() -> None:
    for policy, silent in (
        ("v=spf1 a:x.test -all", "x.test"),
        ("v=spf1 mx:x.test -all", "x.test"),
        ("v=spf1 mx:y.test -all", "x.test"),
        ("v=spf1 include:x.test -all", "x.test"),
        ("v=spf1 redirect=x.test", "x.test"),
        ("v=spf1 exists:x.test -all", "x.test"),
    ):
        zone: dict[str, object] = {"a.test TXT": policy, silent: TIMEOUT, "y.test MX": [(1, "x.test")]}
        assert check(zone).result == "temperror", policy
    assert check({"a.test": TIMEOUT}).result == "temperror"


def test_trouble_with_the_clients_own_names_is_no_trouble_of_the_domain() -> None:
    zone: dict[str, object] = {"a.test TXT": "v=spf1 ptr -all", "1.2.0.192.in-addr.arpa": TIMEOUT}
    assert check(zone).result == "fail"


def test_a_local_part_beyond_ascii_matches_no_macro() -> None:
    zone = Zone({"a.test TXT": "v=spf1 exists:%{l}.a.test -all"})
    verdict = answer_from(zone, check_mail_from(ip_address("192.0.2.1"), "h.a.test", "jürgen@a.test"))
    assert verdict.result == "fail"
    assert zone.asked == [Question("a.test", "TXT")]


def test_a_domain_in_u_labels_is_asked_for_in_a_labels() -> None:
    verdict = check({"xn--bcher-kva.test TXT": "v=spf1 +all"}, sender="a@Bücher.test")
    assert (verdict.result, verdict.domain) == ("pass", "xn--bcher-kva.test")


def test_a_plain_policy_asks_one_question() -> None:
    zone = Zone({"a.test TXT": "v=spf1 ip4:192.0.2.0/24 a:x.test -all"})
    assert answer_from(zone, check_mail_from(ip_address("192.0.2.1"), "h", "a@a.test")).result == "pass"
    assert zone.asked == [Question("a.test", "TXT")]


def test_the_explanation_is_the_domains_own_with_all_macros() -> None:
    zone: dict[str, object] = {
        "a.test TXT": "v=spf1 -all exp=why.%{d}",
        "why.a.test TXT": "%{c} may not send as %{s}%_(%{r} at %{t}), see https://a.test/?s=%{S}",
    }
    assert check(zone, receiver="mx.corp.test", timestamp=1795507200).explanation == (
        "192.0.2.1 may not send as alice@a.test (mx.corp.test at 1795507200), see https://a.test/?s=alice%40a.test"
    )


@pytest.mark.parametrize("words", ["two\nlines", "bell \x07", "naïve", "%{x}", "50%"])
def test_an_explanation_that_does_not_belong_in_a_reply_is_none(words: str) -> None:
    verdict = check({"a.test TXT": "v=spf1 -all exp=why.a.test", "why.a.test TXT": words})
    assert (verdict.result, verdict.explanation) == ("fail", "")


@given(st.text(alphabet=st.sampled_from("v=spf1 ainclude:mxptr-all~?+/%{d}_redirectexp.4é6\t"), max_size=60))
def test_no_record_is_a_crash(text: str) -> None:
    policy = f"v=spf1 {text}"
    zone: dict[str, object] = {"a.test TXT": policy, "a.test A": "192.0.2.1"}
    assert check(zone).result in {"pass", "fail", "softfail", "neutral", "permerror"}
    try:
        parse_spf_record(policy.encode())
    except MailError:
        assert check(zone).result == "permerror"


@given(st.binary(max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_no_octets_and_no_name_are_a_crash(octets: bytes, hello: str, sender: str) -> None:
    answer_from({"a.test TXT": b"v=spf1 " + octets}, check_mail_from(ip_address("::1"), hello, "x@a.test"))
    answer_from({}, check_mail_from(ip_address("::1"), hello, sender))
    try:
        parse_explanation(octets.decode("latin-1"))
    except MailError:
        return


def test_a_policy_of_any_size_costs_little() -> None:
    long = "v=spf1 " + " ".join(f"ip4:198.51.100.{n}" for n in range(256)) + " ip4:192.0.2.1 -all"
    assert check({"a.test TXT": long}).result == "pass"
    verdict = check({"a.test TXT": "v=spf1 " + "ip4:198.51.100.1 " * 1000 + "+all"})
    assert (verdict.result, "more than 8192" in verdict.reason) == ("permerror", True)


def test_a_long_expansion_is_cut_at_a_label_on_the_left() -> None:
    zone = Zone({"a.test TXT": "v=spf1 exists:" + "%{s}.x." * 200 + "b.test -all"})
    assert answer_from(zone, check_mail_from(ip_address("192.0.2.1"), "h", "alice@a.test")).result == "fail"
    name = zone.asked[-1].name
    assert name.endswith(".x.alice@a.test.x.b.test")
    assert 240 < len(name) <= 253
    assert name.partition(".")[0] in ("alice@a", "test", "x")


def test_an_explanation_that_does_not_fit_into_a_reply_is_none() -> None:
    for words in ("x" * 401, "%{s}" * 50):
        zone: dict[str, object] = {"a.test TXT": "v=spf1 -all exp=w.a.test", "w.a.test TXT": words}
        assert check(zone).explanation == ""
