"""The lab's fleet with a ledger whose keys never change, and zones read from zone files."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dns.zone

from mxfleet.dns.desired import desired
from mxfleet.dns.families import our_names
from mxfleet.dns.plan import Plan, plan_zone
from mxfleet.dns.records import Record, from_rdata
from mxfleet.fleet import Fleet
from mxfleet.fleet.load import load_file
from mxfleet.keys.facts import AnyFact, Entry, Minted, Moved, Opened, RecordsIntended
from mxfleet.keys.lifecycle import KeyState, Material
from mxfleet.keys.state import State, fold

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests" / "golden" / "dns"
_LAB = load_file(ROOT / "inventories" / "lab.py")
LAB = replace(_LAB, policy=replace(_LAB.policy, reports="", tls_reports="", mta_sts="none"))
"""Reports and MTA-STS are a matter of tests of their own."""
EXAMPLE = load_file(ROOT / "inventories" / "example.py")
START = datetime(2026, 11, 24, 8, tzinfo=UTC)
TO_ACTIVE = (KeyState.PUBLISHED, KeyState.VISIBLE, KeyState.ACTIVE)


def key(owner: str, label: str, *steps: KeyState) -> list[AnyFact]:
    """A key minted and brought along these steps; its public half is the label itself, in base64's letters."""
    algorithm, public = ("ed25519", "E" * 44) if label[0] == "e" else ("rsa", "R" * 392)
    minted = Minted(
        material=Material.DKIM, owner=owner, label=label, algorithm=algorithm, public=public, spki="00" * 32
    )
    return [minted, *(Moved(key=f"dkim/{owner}/{label}", state=step) for step in steps)]


def state_of(*facts: AnyFact) -> State:
    return fold(
        Entry(number=n, previous="", at=START, by="test", what=fact)
        for n, fact in enumerate((Opened(fleet="lab"), *facts), 1)
    )


def active_state(*more: AnyFact) -> State:
    """Both keys of both sending domains active."""
    keys = [
        fact
        for domain in ("corp.test", "shop.test")
        for label in ("r20261124-000001", "e20261124-000002")
        for fact in key(domain, label, *TO_ACTIVE)
    ]
    return state_of(*keys, *more)


def owning(*records: Record, zone: str = "corp.test") -> RecordsIntended:
    return RecordsIntended(zone=zone, creates=tuple(record.identity for record in records))


def zone_records(text: str, zone: str = "corp.test") -> tuple[Record, ...]:
    parsed = dns.zone.from_text(text, zone, relativize=False, check_origin=False)
    return tuple(from_rdata(name, ttl, rdata) for name, ttl, rdata in parsed.iterate_rdatas())


def wanted_records(fleet: Fleet, state: State, zone: str) -> tuple[Record, ...]:
    return tuple(item.record for item in dict(desired(fleet, state).zones)[zone])


def plan_of(
    fleet: Fleet, state: State, observed: Mapping[str, Sequence[Record]], *, adopt: bool = False
) -> Plan:
    wanted, names = desired(fleet, state), our_names(fleet, state)
    zones = [
        plan_zone(
            zone,
            items,
            observed.get(zone, ()),
            state.records.get(zone, frozenset()),
            names,
            adopt=adopt,
        )
        for zone, items in wanted.zones
    ]
    return Plan(fleet.name, tuple(zones), wanted.elsewhere)


def without_domain(fleet: Fleet, name: str) -> Fleet:
    return replace(
        fleet,
        domains=tuple(domain for domain in fleet.domains if domain.name != name),
        accounts=tuple(replace(account, also=()) for account in fleet.accounts),
    )
