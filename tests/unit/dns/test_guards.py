"""Guards: each refuses exactly what it is for, and lets pass what looks like it."""

from dataclasses import replace
from typing import Any

import pytest

from mxfleet.dns.guards import GUARDS, refusals, refuse_unsafe
from mxfleet.dns.records import Record, mx, txt
from mxfleet.errors import DnsError, GuardRefused
from mxfleet.fleet import Fleet
from mxfleet.keys.facts import Moved
from mxfleet.keys.lifecycle import KeyState

from .samples import LAB, active_state, owning, plan_of, state_of, wanted_records, without_domain

SHOP = wanted_records(LAB, active_state(), "shop.test")
CORP = wanted_records(LAB, active_state(), "corp.test")
KEYS = ("r20261124-000001", "e20261124-000002")


def found(
    fleet: Fleet, observed: dict[str, Any], *, adopt: bool = False, more: tuple[Any, ...] = ()
) -> list[str]:
    state = active_state(owning(*SHOP, zone="shop.test"), owning(*CORP), *more)
    every = {zone.name: observed.get(zone.name, ()) for zone in fleet.zones}
    return [name for name, _ in refusals(plan_of(fleet, state, every, adopt=adopt), every, state)]


def test_nothing_stands_against_a_first_plan_or_an_empty_one() -> None:
    assert found(LAB, {}) == []
    assert found(LAB, {"shop.test": SHOP, "corp.test": CORP}) == []


def orphaning(*more: Any) -> list[str]:
    """Refusals of a plan made on a ledger without shop.test's keys (an older checkout) once the real one is there."""
    owned = (owning(*SHOP, zone="shop.test"), owning(*CORP))
    observed: dict[str, Any] = {zone.name: () for zone in LAB.zones} | {"shop.test": SHOP, "corp.test": CORP}
    plan = plan_of(LAB, state_of(*owned), observed)
    return [name for name, _ in refusals(plan, observed, active_state(*owned, *more))]


def test_taking_a_domain_out_keeps_its_keys_and_meets_its_last_exchanges() -> None:
    assert found(without_domain(LAB, "shop.test"), {"shop.test": SHOP, "corp.test": CORP}) == ["last-mx"]


def test_a_key_that_drains_is_as_live_as_one_that_signs_and_a_compromised_one_is_not() -> None:
    key = "dkim/shop.test/r20261124-000001"
    assert orphaning() == ["live-selector"] * 4
    assert orphaning(Moved(key=key, state=KeyState.DRAINING)) == ["live-selector"] * 4
    assert orphaning(Moved(key=key, state=KeyState.COMPROMISED)) == ["live-selector"] * 3


def test_mending_a_live_selector_that_somebody_broke_is_no_danger_to_it() -> None:
    name = "r20261124-000001._domainkey.shop.test"
    broken = [replace(r, value='"v=DKIM1; p=AAAA"') if r.name == name else r for r in SHOP]
    assert found(LAB, {"shop.test": broken, "corp.test": CORP}, adopt=True) == []


def test_a_new_ttl_for_a_live_selector_is_no_danger_to_it() -> None:
    slow = [replace(record, ttl=600) for record in SHOP]
    assert found(LAB, {"shop.test": slow, "corp.test": CORP}) == []


def test_replacing_all_exchanges_by_others_leaves_the_domain_with_exchanges() -> None:
    observed = {"shop.test": [mx("shop.test", 5, 10, "old.example")], "corp.test": CORP}
    assert found(LAB, observed, adopt=True) == []


def test_parking_a_domain_that_takes_mail_is_refused() -> None:
    observed = {
        "parked.test": [mx("parked.test", 5, 10, "old.example")],
        "corp.test": CORP,
        "shop.test": SHOP,
    }
    assert found(LAB, observed, adopt=True) == ["null-mx-over-live"]


def test_an_exchange_keeps_an_address() -> None:
    others = [mx("other.corp.test", 5, 10, "submit.corp.test")]  # somebody uses a name of ours as an exchange
    without = replace(LAB, submission_hostname="", accounts=())
    assert found(without, {"corp.test": [*CORP, *others], "shop.test": SHOP}) == ["exchange-without-address"]
    assert found(without, {"corp.test": CORP, "shop.test": SHOP}) == []


def test_one_guard_is_forced_by_its_name_and_no_other_with_it() -> None:
    without = without_domain(LAB, "shop.test")
    observed: dict[str, Any] = {zone.name: () for zone in LAB.zones} | {"shop.test": SHOP, "corp.test": CORP}
    owned = (owning(*SHOP, zone="shop.test"), owning(*CORP))
    keys = [Moved(key=f"dkim/corp.test/{name}", state=KeyState.COMPROMISED) for name in KEYS]
    plan, state = plan_of(without, state_of(*owned), observed), active_state(*owned, *keys)
    with pytest.raises(GuardRefused) as caught:
        refuse_unsafe(plan, observed, state, [])
    assert str(caught.value) == (
        "live-selector: selector e20261124-000002 of shop.test is active: mail signed with it would fail "
        "(and 2 more) — if that is what you want: --force live-selector"
    )
    with pytest.raises(GuardRefused, match=r"^last-mx: shop\.test would have no MX at all"):
        refuse_unsafe(plan, observed, state, ["live-selector"])
    refuse_unsafe(plan, observed, state, ["live-selector", "last-mx"])


def test_a_guard_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(DnsError) as caught:
        refuse_unsafe(
            plan_of(LAB, active_state(), {}), {zone.name: () for zone in LAB.zones}, active_state(), ["all"]
        )
    assert str(caught.value) == f"there is no guard 'all' — the guards are {', '.join(GUARDS)}"


def test_foreign_text_is_no_guards_business() -> None:
    foreign: list[Record] = [txt("corp.test", 5, b"verification=1")]
    assert found(LAB, {"corp.test": [*CORP, *foreign], "shop.test": SHOP}) == []
