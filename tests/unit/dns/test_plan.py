"""Plans as people read them: tests/golden/dns/<case>.zone is what a zone holds, <case>.txt the agreed plan.

After a wanted change: MXFLEET_REGENERATE=1 .venv/bin/pytest tests/unit/dns/test_plan.py, then read the diff.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mxfleet.dns.guards import after_plan
from mxfleet.dns.plan import Plan
from mxfleet.dns.plan_text import plan_text, summary
from mxfleet.dns.records import Record, mx, txt
from mxfleet.keys.lifecycle import KeyState

from .samples import (
    EXAMPLE,
    GOLDEN,
    LAB,
    active_state,
    key,
    owning,
    plan_of,
    state_of,
    wanted_records,
    zone_records,
)


@dataclass(frozen=True)
class Case:
    make: Callable[[str], Plan]
    about: str


def corp(zone: tuple[Record, ...]) -> Mapping[str, Sequence[Record]]:
    """Everything in place but corp.test, which holds this."""
    rest = {z.name: wanted_records(LAB, active_state(), z.name) for z in LAB.zones}
    return rest | {"corp.test": zone}


def in_place(*without: str) -> tuple[Record, ...]:
    return tuple(
        record for record in wanted_records(LAB, active_state(), "corp.test") if record.type not in without
    )


OLD = txt("mx9.corp.test", 5, b"v=spf1 a -all")
CASES = {
    "first": Case(
        lambda zone: plan_of(LAB, active_state(), {"corp.test": zone_records(zone)}), "empty zones"
    ),
    "in_dispute": Case(
        lambda zone: plan_of(LAB, active_state(), {"corp.test": zone_records(zone)}),
        "others' records of ours",
    ),
    "adopted": Case(
        lambda zone: plan_of(LAB, active_state(), corp(zone_records(zone)), adopt=True), "taken over"
    ),
    "changed": Case(
        lambda zone: plan_of(
            LAB,
            active_state(owning(OLD, mx("corp.test", 5, 20, "mx9.corp.test"), *in_place())),
            corp(zone_records(zone)),
        ),
        "a node has left, a TTL is wrong",
    ),
    "revoked": Case(
        lambda zone: plan_of(
            LAB,
            active_state(
                *key("corp.test", "r20261001-00000a", KeyState.PUBLISHED, KeyState.COMPROMISED),
                owning(*in_place()),
                owning(*zone_records(zone)),
            ),
            corp((*zone_records(zone), *in_place())),
        ),
        "a compromised key is withdrawn",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_plan_reads_as_agreed(name: str) -> None:
    zone = (GOLDEN / f"{name}.zone").read_text()
    text = plan_text(CASES[name].make(zone))
    agreed = GOLDEN / f"{name}.txt"
    if os.environ.get("MXFLEET_REGENERATE"):
        agreed.write_text(text)
    assert text == agreed.read_text()


def test_every_golden_plan_has_its_case() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)


def observed_as_wanted() -> dict[str, tuple[Record, ...]]:
    return {zone.name: wanted_records(LAB, active_state(), zone.name) for zone in LAB.zones}


def test_nothing_is_to_do_where_everything_is_in_place() -> None:
    plan = plan_of(LAB, active_state(), observed_as_wanted())
    assert not plan.pending
    assert summary(plan) == "no changes; 43 in place, 0 foreign left alone"


def test_a_value_that_is_there_as_wanted_is_claimed_without_a_question() -> None:
    plan = plan_of(LAB, active_state(), observed_as_wanted())
    assert len(plan.zones[0].claimed) == plan.zones[0].in_place
    owned = active_state(owning(*observed_as_wanted()["corp.test"]))
    assert plan_of(LAB, owned, observed_as_wanted()).zones[0].claimed == ()


def test_other_chunks_of_the_same_text_are_the_same_text() -> None:
    observed = observed_as_wanted()
    chunked = [
        replace(record, raw=" ".join(f'"{chr(octet)}"' for octet in record.octets))
        if "_dmarc" in record.name
        else record
        for record in observed["corp.test"]
    ]
    assert not plan_of(LAB, active_state(), observed | {"corp.test": chunked}).pending


def test_the_checksum_is_of_what_changes_and_of_nothing_else() -> None:
    first, second = plan_of(LAB, active_state(), {}), plan_of(LAB, active_state(), {})
    assert first.checksum == second.checksum
    foreign = {"corp.test": [txt("corp.test", 5, b"verification=1")]}
    assert plan_of(LAB, active_state(), foreign).checksum == first.checksum
    other = {"corp.test": [txt("_dmarc.corp.test", 5, b"v=DMARC1; p=reject")]}
    assert plan_of(LAB, active_state(), other).checksum != first.checksum


def test_the_plan_as_json_has_no_more_than_public_records() -> None:
    plan = plan_of(LAB, active_state(), {})
    facts = json.loads(json.dumps(plan.as_json()))
    assert [zone["zone"] for zone in facts["zones"]] == [zone.name for zone in LAB.zones]
    first = facts["zones"][0]["changes"][0]
    assert first == {
        "kind": "create",
        "family": "mx",
        "before": None,
        "after": "corp.test. 5 MX 10 mx.corp.test.",
        "why": "preferred exchange",
    }


def test_records_of_zones_that_are_not_ours_are_advice() -> None:
    plan = plan_of(EXAMPLE, state_of(), {})
    assert [str(item.record) for item in plan.advice if item.record.name.startswith("11.")] == [
        "11.100.51.198.in-addr.arpa. 3600 PTR mx1.example.org."
    ]
    assert "In zones that are not ours; whoever runs them should have:" in plan_text(plan)


def test_names_of_addresses_are_records_where_the_reverse_zone_is_ours() -> None:
    plan = plan_of(EXAMPLE, state_of(), {})
    [reverse] = [zone for zone in plan.zones if zone.zone.endswith(".ip6.arpa")]
    assert {str(change.after).partition(" PTR ")[2] for change in reverse.changes} == {
        "mx1.example.org.", "mx2.example.org.", "mx.example.org.",
    }  # fmt: skip
    assert not [item for item in plan.advice if item.record.name.endswith(".ip6.arpa")]


def test_in_an_rrset_with_foreign_values_ours_takes_their_ttl_and_keeps_it() -> None:
    observed = observed_as_wanted()
    shared = [
        txt("corp.test", 3600, b"verification=1"),
        *(
            replace(r, ttl=3600) if r.name == "corp.test" and r.type == "TXT" else r
            for r in observed["corp.test"]
        ),
    ]
    assert not plan_of(LAB, active_state(), observed | {"corp.test": shared}).pending
    [spf] = [
        change.record
        for change in plan_of(LAB, active_state(), {"corp.test": shared[:1]}).zones[0].changes
        if change.record.name == "corp.test" and change.record.type == "TXT"
    ]
    assert spf.ttl == 3600


NAMES = st.sampled_from(
    [
        "corp.test",
        "mx.corp.test",
        "mx1.corp.test",
        "_dmarc.corp.test",
        "www.corp.test",
        "r20261124-000001._domainkey.corp.test",
        "sel._domainkey.corp.test",
    ]
)
VALUES = st.sampled_from(
    [b"v=spf1 -all", b"V=SPF1 mx", b"v=spf10", b"v=DMARC1; p=none", b"verification=1", b"v=DKIM1; p=", b""]
)
TEXTS = st.builds(txt, NAMES, st.sampled_from([5, 60]), VALUES)
EXCHANGES = st.builds(
    mx, NAMES, st.just(5), st.sampled_from([5, 10]), st.sampled_from(["mx.corp.test", "old.example"])
)
ZONES = st.lists(TEXTS | EXCHANGES | st.sampled_from(in_place()), max_size=12, unique_by=lambda r: r.identity)


@settings(deadline=None)
@given(ZONES, st.data())
def test_whatever_a_zone_holds_one_adopting_apply_leaves_nothing_to_do_and_foreign_values_as_they_were(
    zone: list[Record], data: st.DataObject
) -> None:
    ttls: dict[tuple[str, str], int] = {}
    observed = [replace(record, ttl=ttls.setdefault(record.rrset, record.ttl)) for record in zone]
    mine = data.draw(st.lists(st.sampled_from(observed), unique=True)) if observed else []
    state = active_state(owning(*mine))
    careful = plan_of(LAB, state, {"corp.test": observed}).zones[0]
    touched = {change.before.identity for change in careful.changes if change.before}
    wanted = {record.identity for record in in_place()}
    assert touched <= {record.identity for record in mine} | wanted  # never what others wrote
    taking = plan_of(LAB, state, {"corp.test": observed}, adopt=True).zones[0]
    assert taking.conflicts == ()
    after = after_plan(taking, observed)
    written = active_state(
        owning(*mine), owning(*(c.after for c in taking.changes if c.after), *taking.claimed)
    )
    again = plan_of(LAB, written, {"corp.test": after}).zones[0]
    assert (again.changes, again.conflicts) == ((), ())
    assert again.foreign == taking.foreign
    assert wanted <= {record.identity for record in after}
