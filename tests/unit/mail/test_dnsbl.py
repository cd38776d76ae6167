"""DNS lists: names asked, answers understood, and complaints that are no listings."""

from ipaddress import ip_address

import pytest

from mxfleet.mail.dnsbl import (
    DnsList,
    Listing,
    check_address,
    check_domain,
    check_list,
    query_name,
    questions_ahead,
)
from mxfleet.mail.questions import Question
from tests.unit.mail.zone import TIMEOUT, answer_from

ZEN = DnsList("zen.test", {"127.0.0.2": "spam source", "127.0.0.10": "dial-up"})
NAME = "99.2.0.192.zen.test"


def test_the_names_of_rfc_5782() -> None:
    assert query_name(ip_address("192.0.2.99"), "bl.example") == "99.2.0.192.bl.example"
    assert query_name(ip_address("2001:db8:1:2:3:4:567:89ab"), "bl.example") == (
        "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example"
    )
    assert questions_ahead(ip_address("::ffff:192.0.2.99"), (ZEN,)) == (Question(NAME, "A"),)


@pytest.mark.parametrize(
    ("entries", "result", "meanings"),
    [
        ({f"{NAME} A": "127.0.0.2"}, "listed", ("spam source",)),
        ({f"{NAME} A": ["127.0.0.10", "127.0.0.2"]}, "listed", ("dial-up", "spam source")),
        ({f"{NAME} A": "127.0.0.99"}, "clean", ()),  # a code that nobody asked for
        ({}, "clean", ()),
        ({f"{NAME} TXT": "x"}, "clean", ()),
        ({NAME: TIMEOUT}, "temperror", ()),
        ({f"{NAME} A": "127.255.255.252"}, "error", ()),
        ({f"{NAME} A": "127.255.255.254"}, "error", ()),
        ({f"{NAME} A": "127.255.255.255"}, "error", ()),
        ({f"{NAME} A": "127.255.255.1"}, "error", ()),
        ({f"{NAME} A": ["127.0.0.2", "127.255.255.254"]}, "error", ()),
        ({f"{NAME} A": "203.0.113.80"}, "error", ()),  # a parked domain answers everything
    ],
)
def test_what_a_list_says_about_an_address(
    entries: dict[str, object], result: str, meanings: tuple[str, ...]
) -> None:
    verdict = answer_from(entries, check_address(ip_address("192.0.2.99"), ZEN))
    assert (verdict.result, verdict.meanings) == (result, meanings)
    assert (verdict.reason != "") == (result in ("error", "temperror"))


def test_a_complaint_is_told_in_words() -> None:
    verdict = answer_from({f"{NAME} A": "127.255.255.254"}, check_address(ip_address("192.0.2.99"), ZEN))
    assert (
        verdict.reason
        == "zen.test says 127.255.255.254: asked through a public resolver, which it does not answer"
    )


def test_without_meanings_every_answer_is_a_listing() -> None:
    verdict = answer_from({"bad.test.dbl.test A": "127.0.1.2"}, check_domain("bad.test", DnsList("dbl.test")))
    assert verdict == Listing("dbl.test", "listed", ("127.0.1.2",))


@pytest.mark.parametrize(
    ("entries", "trouble"),
    [
        ({"2.0.0.127.zen.test A": "127.0.0.2"}, ""),
        ({}, "zen.test does not list 127.0.0.2: it is empty or gone"),
        ({"2.0.0.127.zen.test A": "127.0.0.2", "1.0.0.127.zen.test A": "127.0.0.2"}, "it lists everything"),
        ({"2.0.0.127.zen.test A": "127.255.255.254"}, "public resolver"),
        ({"2.0.0.127.zen.test": TIMEOUT}, "timed out"),
    ],
)
def test_a_list_is_used_only_where_its_test_entries_are_right(
    entries: dict[str, object], trouble: str
) -> None:
    said = answer_from(entries, check_list(ZEN))
    assert trouble in said
    assert (said == "") == (trouble == "")
