"""A client's name counts where both directions agree (RFC 8601 §3)."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.iprev import check_iprev
from tests.unit.mail.zone import TIMEOUT, Zone, answer_from

REVERSE = "1.2.0.192.in-addr.arpa"
REVERSE6 = ip_address("2001:db8::1").reverse_pointer


@pytest.mark.parametrize(
    ("address", "entries", "result", "name"),
    [
        ("192.0.2.1", {f"{REVERSE} PTR": "MX.a.test.", "mx.a.test A": "192.0.2.1"}, "pass", "mx.a.test"),
        (
            "::ffff:192.0.2.1",
            {f"{REVERSE} PTR": "mx.a.test", "mx.a.test A": "192.0.2.1"},
            "pass",
            "mx.a.test",
        ),
        (
            "2001:db8::1",
            {f"{REVERSE6} PTR": "mx.a.test", "mx.a.test AAAA": "2001:db8::1"},
            "pass",
            "mx.a.test",
        ),
        (
            "192.0.2.1",
            {f"{REVERSE} PTR": ["x.a.test", "mx.a.test"], "mx.a.test A": "192.0.2.1"},
            "pass",
            "mx.a.test",
        ),
        ("192.0.2.1", {f"{REVERSE} PTR": "bank.test", "bank.test A": "198.51.100.1"}, "fail", ""),
        ("192.0.2.1", {f"{REVERSE} PTR": "not..a.name"}, "fail", ""),
        ("192.0.2.1", {}, "permerror", ""),
        ("192.0.2.1", {REVERSE: TIMEOUT}, "temperror", ""),
        ("192.0.2.1", {f"{REVERSE} PTR": "mx.a.test", "mx.a.test": TIMEOUT}, "temperror", ""),
        (
            "192.0.2.1",
            {f"{REVERSE} PTR": ["x.a.test", "mx.a.test"], "x.a.test": TIMEOUT, "mx.a.test A": "192.0.2.1"},
            "pass",
            "mx.a.test",
        ),
    ],
)
def test_the_name_of_a_client(address: str, entries: dict[str, object], result: str, name: str) -> None:
    verdict = answer_from(entries, check_iprev(ip_address(address)))
    assert (verdict.result, verdict.name) == (result, name)
    assert (verdict.reason == "") == (result == "pass")


def test_no_more_than_ten_names_are_tried() -> None:
    zone = Zone({f"{REVERSE} PTR": [f"h{n}.test" for n in range(30)], "h20.test A": "192.0.2.1"})
    assert answer_from(zone, check_iprev(ip_address("192.0.2.1"))).result == "fail"
    assert len(zone.asked) == 11


@given(st.ip_addresses(), st.lists(st.text(max_size=10), max_size=3))
def test_no_name_is_a_crash(address: object, names: list[str]) -> None:
    real = ip_address(str(address).partition("%")[0])
    entries: dict[str, object] = {f"{real.reverse_pointer} PTR": names} if names else {}
    assert answer_from(entries, check_iprev(real)).result in ("fail", "permerror")
