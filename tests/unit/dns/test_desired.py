"""What a fleet wants in DNS, checked against what the RFCs ask for rather than against itself."""

import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from mxfleet.dns.desired import all_wanted, desired, sender_policy, zone_of
from mxfleet.fleet import Fleet
from mxfleet.fleet.load import load_file
from mxfleet.keys.lifecycle import KeyState
from mxfleet.keys.state import State

from .samples import EXAMPLE, LAB, ROOT, active_state, key, state_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its docstrings have escapes that Python no longer knows
    import spf

SINGLE = load_file(ROOT / "inventories" / "single.py")


def values(name: str, kind: str = "TXT", fleet: Fleet = LAB, state: State | None = None) -> list[str]:
    wanted = all_wanted(fleet, state or active_state())
    return [item.record.value for item in wanted if item.record.rrset == (name, kind)]


def test_a_domain_prefers_the_service_address_and_falls_back_to_each_node() -> None:
    assert values("corp.test", "MX") == [
        "10 mx.corp.test.", "20 mx1.corp.test.", "20 mx2.corp.test.", "20 mx3.corp.test.",
    ]  # fmt: skip


def test_a_single_node_is_the_only_exchange() -> None:
    assert values("corp.test", "MX", SINGLE) == ["10 mx1.corp.test."]
    assert values("submit.corp.test", "A", SINGLE) == ["10.77.0.11"]


def test_submission_is_at_the_service_address() -> None:
    assert values("submit.corp.test", "A") == ["10.77.0.10"]
    assert values("submit.corp.test", "AAAA") == ["fd77:77::10"]


def test_a_parked_domain_says_no_in_every_way_there_is() -> None:
    assert values("parked.test", "MX") == ["0 ."]
    assert values("parked.test") == ['"v=spf1 -all"']
    assert values("_dmarc.parked.test") == ['"v=DMARC1; p=reject; sp=reject; np=reject"']
    assert values("*._domainkey.parked.test") == ['"v=DKIM1; p="']


def test_spf_names_the_addresses_that_mail_leaves_from_and_needs_no_lookup() -> None:
    text = sender_policy(LAB).decode()
    assert text.split() == [
        "v=spf1", "ip4:10.77.0.11", "ip6:fd77:77::11", "ip4:10.77.0.12", "ip6:fd77:77::12",
        "ip4:10.77.0.13", "ip6:fd77:77::13", "~all",
    ]  # fmt: skip
    assert LAB.service
    assert f"ip4:{LAB.service.address4}" not in text.split()  # it only receives


@pytest.mark.parametrize(
    ("address", "result"),
    [
        ("10.77.0.11", "pass"),
        ("fd77:77::13", "pass"),
        ("10.77.0.10", "softfail"),
        ("10.77.0.100", "softfail"),
    ],
)
def test_another_implementation_reads_the_policy_so(address: str, result: str) -> None:
    query = spf.query(i=address, s="alice@corp.test", h="mx1.corp.test")  # type: ignore[no-untyped-call]
    assert query.check(spf=sender_policy(LAB).decode())[0] == result  # type: ignore[no-untyped-call]


def test_spf_is_strict_where_dmarc_is_not_enforced() -> None:
    lenient = replace(LAB, policy=replace(LAB.policy, dmarc="none"))
    assert sender_policy(lenient).endswith(b" -all")
    assert sender_policy(replace(LAB, policy=replace(LAB.policy, dmarc="quarantine"))).endswith(b" ~all")


def test_each_ehlo_name_has_a_policy_of_its_own() -> None:
    assert values("mx1.corp.test") == ['"v=spf1 a -all"']
    assert values("mx.corp.test") == ['"v=spf1 -all"']
    assert values("submit.corp.test") == ['"v=spf1 -all"']


def test_dmarc_is_the_fleets_policy_and_has_no_tag_that_rfc_9989_removed() -> None:
    assert values("_dmarc.corp.test") == ['"v=DMARC1; p=reject"']
    assert values("_dmarc.corp.test", fleet=replace(LAB, policy=replace(LAB.policy, dmarc="none"))) == [
        '"v=DMARC1; p=none"'
    ]


def test_every_address_points_back_to_the_name_that_points_to_it() -> None:
    records = [item.record for item in all_wanted(LAB, active_state())]
    forward = {(r.value, r.name) for r in records if r.type in ("A", "AAAA") and r.name != "submit.corp.test"}
    addresses = [*LAB.peer_addresses, *(LAB.service.addresses if LAB.service else ())]
    back = {str(a): r.value.rstrip(".") for a in addresses for r in records if r.name == a.reverse_pointer}
    assert set(back.items()) == forward


@pytest.mark.parametrize(
    ("steps", "texts"),
    [
        ((), 1),
        ((KeyState.PUBLISHED,), 1),
        ((KeyState.PUBLISHED, KeyState.VISIBLE, KeyState.ACTIVE, KeyState.DRAINING), 1),
        ((KeyState.REMOVED,), 0),
    ],
)
def test_a_key_is_in_dns_from_minting_to_the_end_of_its_drain(
    steps: tuple[KeyState, ...], texts: int
) -> None:
    state = state_of(*key("corp.test", "r1", *steps))
    found = values("r1._domainkey.corp.test", state=state)
    assert len(found) == texts
    assert all("k=rsa; h=sha256; p=RRRR" in text for text in found)


def test_a_compromised_or_revoked_key_is_there_with_an_empty_p() -> None:
    way = (KeyState.PUBLISHED, KeyState.COMPROMISED)
    for steps in (way, (*way, KeyState.REVOKED)):
        state = state_of(*key("corp.test", "r1", *steps))
        assert values("r1._domainkey.corp.test", state=state) == ['"v=DKIM1; p="']


def test_keys_have_their_own_ttl() -> None:
    fleet = replace(LAB, policy=replace(LAB.policy, keys=replace(LAB.policy.keys, ttl=77)))
    ttls = {i.record.ttl for i in all_wanted(fleet, active_state()) if "key," in i.why}
    assert ttls == {77}


def test_keys_of_a_domain_that_left_the_fleet_are_not_wanted() -> None:
    state = state_of(*key("gone.test", "r1"))
    assert not [i for i in all_wanted(LAB, state) if "gone.test" in i.record.name]


def test_each_record_is_in_the_nearest_zone() -> None:
    assert zone_of("a.b.test", ["test", "b.test", "x.b.test"]) == "b.test"
    assert zone_of("ab.test", ["b.test"]) is None
    assert zone_of("b.test", ["b.test"]) == "b.test"
    zones = dict(desired(EXAMPLE, state_of()).zones)
    assert {item.record.name for item in zones["example.com"]} == {
        "example.com", "_dmarc.example.com", "*._domainkey.example.com",
    }  # fmt: skip


def test_no_value_is_wanted_twice() -> None:
    for path in (ROOT / "inventories").glob("*.py"):
        identities = [item.record.identity for item in all_wanted(load_file(Path(path)), active_state())]
        assert len(identities) == len(set(identities))
