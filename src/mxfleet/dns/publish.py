"""Reading, planning and applying for a whole fleet: the effects around the pure plan."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mxfleet.dns.activation import PATIENCE, Activation, activate_visible
from mxfleet.dns.desired import desired, zone_of
from mxfleet.dns.families import Family, our_names, selector_name
from mxfleet.dns.guards import moving_policies, refuse_unsafe
from mxfleet.dns.hosting import providers_for
from mxfleet.dns.plan import Plan, ZonePlan, former_family, plan_zone
from mxfleet.dns.policy_hosts import Fetch, unserved
from mxfleet.dns.providers.protocol import Provider, Snapshot
from mxfleet.dns.records import Identity
from mxfleet.errors import DnsError, FleetError, PlanStale
from mxfleet.fleet.model import Fleet
from mxfleet.keys.facts import Moved, RecordsIntended, RecordsRemoved
from mxfleet.keys.ledger import Clock, Writer, writing
from mxfleet.keys.lifecycle import KeyState
from mxfleet.keys.state import State
from mxfleet.keys.vault import Vault

Providers = Mapping[str, Provider]

Told = Callable[[str, int, int], None]
"""Hears how far a long run is: `read` or `changed`, the zone's number, of how many."""


def unheard(_what: str, _number: int, _of: int) -> None:
    """Nobody listens."""


__all__ = [
    "KEY_FAMILIES", "Planned", "Published", "apply_plan", "make_plan", "ours_in", "providers_for", "publish",
    "publish_keys", "written_keys",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan and the zones as they were read for it.

    `unserved` says which hosts do not serve the MTA-STS policies that the plan announces, by domain; `moving` are the
    domains that announce another policy than the fleet's, also where the plan leaves that out.
    """

    plan: Plan
    snapshots: Mapping[str, Snapshot]
    state: State
    unserved: Mapping[str, str] = field(default_factory=dict)
    moving: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Published:
    """What `publish` did: the plan, the number of changes made, and what became of the keys."""

    plan: Plan
    changes: int
    activation: Activation


def make_plan(
    fleet: Fleet,
    state: State,
    providers: Providers,
    *,
    zones: Collection[str] = (),
    adopt: bool = False,
    without: Collection[Family] = (),
    told: Told = unheard,
    fetch: Fetch | None = None,
) -> Planned:
    """Read the fleet's zones (or those named) and plan; raises DnsError, FleetError for a zone not in the fleet.

    Records of the families `without` are left as they are. `fetch` asks the hosts of MTA-STS policies, by HTTPS where
    it is None.
    """
    if unknown := [zone for zone in zones if zone not in providers]:
        raise FleetError(
            f"fleet {fleet.name!r} has no zone {unknown[0]!r}", hint=f"its zones are {', '.join(providers)}"
        )
    wanted, names = desired(fleet, state), our_names(fleet, state)
    places = _by_zone(names.all, providers)
    snapshots: dict[str, Snapshot] = {}
    plans: list[ZonePlan] = []
    chosen = [(zone, items) for zone, items in wanted.zones if not zones or zone in zones]
    for number, (zone, items) in enumerate(chosen, 1):
        told("read", number, len(chosen))
        ours = ours_in(state, zone)
        interesting = {item.record.name for item in items} | {name for name, _, _ in ours}
        snapshots[zone] = providers[zone].read(zone, interesting | places[zone])
        known = ours | snapshots[zone].marked
        plans.append(plan_zone(zone, items, snapshots[zone].records, known, names, adopt=adopt))
    moving = frozenset(domain for plan in plans for domain in moving_policies(plan))
    if without:
        plans = [_only(plan, frozenset(Family) - frozenset(without)) for plan in plans]
    announced = [
        change.after.name.removeprefix("_mta-sts.")
        for plan in plans
        for change in plan.changes
        if change.after and change.family is Family.MTA_STS
    ]
    missing = unserved(fleet, announced, fetch) if announced else {}
    return Planned(Plan(fleet.name, tuple(plans), wanted.elsewhere), snapshots, state, missing, moving)


def apply_plan(
    planned: Planned,
    writer: Writer,
    providers: Providers,
    *,
    forced: Collection[str] = (),
    expect: str = "",
    told: Told = unheard,
) -> int:
    """Make the plan true, zone by zone; returns the number of changes.

    What is about to be written stands in the ledger before the zone is touched; guards judge by the ledger as it is
    now, whatever the plan was made from. Raises DnsError for values in
    dispute, GuardRefused, PlanStale (also where the plan is not the one whose checksum was expected).
    """
    _refuse_other(planned.plan, expect)
    _refuse_disputed(planned.plan)
    observed = {zone: snapshot.records for zone, snapshot in planned.snapshots.items()}
    refuse_unsafe(planned.plan, observed, writer.state, forced, planned.unserved, planned.moving)
    for number, zone in enumerate(planned.plan.zones, 1):
        told("changed", number, len(planned.plan.zones))
        ours = ours_in(planned.state, zone.zone)
        apply_zone(zone, ours, planned.snapshots[zone.zone], writer, providers[zone.zone])
    _mark_published(planned.plan, writer)
    return sum(len(zone.changes) for zone in planned.plan.zones)


def publish(
    fleet: Fleet,
    environment: Mapping[str, str],
    clock: Clock,
    root: Path = Path(),
    *,
    by: str = "mxfleet lab up",
    adopt: bool = False,
    without: Collection[Family] = (),
    patience: float = PATIENCE,
) -> Published:
    """Plan, apply, and make active what all authoritative servers show: the one step between keys and deploy."""
    providers = providers_for(fleet, Vault.of(fleet, root), environment, root)
    with writing(root / fleet.state_directory, clock, by, fleet.name) as writer:
        planned = make_plan(fleet, writer.state, providers, adopt=adopt, without=without)
        changes = apply_plan(planned, writer, providers)
        activation = activate_visible(fleet, writer, rewritten=written_keys(planned.plan), patience=patience)
        return Published(planned.plan, changes, activation)


KEY_FAMILIES = frozenset({Family.DKIM, Family.TLSA, Family.CHALLENGE})
"""What `publish_keys` writes; everything else waits for somebody who has read the plan."""


def publish_keys(
    fleet: Fleet, writer: Writer, providers: Providers, families: Collection[Family] = KEY_FAMILIES
) -> int:
    """Bring the records of keys, and nothing else, to what the ledger wants; returns the number of changes.

    Zones in which a key's record is in dispute or guarded are refused as a whole, as by `apply_plan`.
    """
    planned = make_plan(fleet, writer.state, providers, without=frozenset(Family) - frozenset(families))
    return apply_plan(planned, writer, providers)


def _only(zone: ZonePlan, families: Collection[Family]) -> ZonePlan:
    changes = tuple(change for change in zone.changes if change.family in families)
    conflicts = tuple(conflict for conflict in zone.conflicts if conflict.family in families)
    claimed = tuple(record for record in zone.claimed if former_family(record) in families)
    return replace(zone, changes=changes, conflicts=conflicts, claimed=claimed)


def written_keys(plan: Plan) -> frozenset[str]:
    """The names of the DKIM records that the plan writes."""
    changes = (change for zone in plan.zones for change in zone.changes)
    return frozenset(c.after.name for c in changes if c.after and c.family is Family.DKIM)


def ours_in(state: State, zone: str) -> frozenset[Identity]:
    """The values in the zone that the ledger says we wrote."""
    return state.records.get(zone, frozenset())


def _by_zone(names: Collection[str], zones: Collection[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {zone: set() for zone in zones}
    for name in names:
        if zone := zone_of(name, zones):
            found[zone].add(name)
    return found


def apply_zone(
    zone: ZonePlan, ours: frozenset[Identity], snapshot: Snapshot, writer: Writer, provider: Provider
) -> None:
    """Make one zone's plan true, nothing judged: what is ours stands in the ledger before and after."""
    come = {change.after.identity for change in zone.changes if change.after}
    come |= {record.identity for record in zone.claimed}
    gone = tuple(sorted({change.before.identity for change in zone.changes if change.before} - come))
    new = tuple(sorted(come - ours))
    if new or gone:
        writer.append(RecordsIntended(zone=zone.zone, creates=new, deletes=gone))
    provider.apply(zone.zone, zone.changes, snapshot)
    if gone:
        writer.append(RecordsRemoved(zone=zone.zone, values=gone))


def _mark_published(plan: Plan, writer: Writer) -> None:
    """A minted key whose zone was just brought to what is wanted is in DNS now."""
    state = writer.state
    zones = [zone.zone for zone in plan.zones]
    ours = {name for zone in zones for name, _, _ in ours_in(state, zone)}
    minted = [key for key in state.dkim() if key.state is KeyState.MINTED]
    done = [key for key in minted if selector_name(key.owner, key.label) in ours]
    writer.append(*(Moved(key=key.id, state=KeyState.PUBLISHED) for key in done))


def _refuse_other(plan: Plan, expect: str) -> None:
    if expect and expect != plan.checksum:
        raise PlanStale(
            f"the plan is {plan.checksum} now, not {expect}: zone, ledger or inventory changed since",
            hint="mxfleet dns plan",
        )


def _refuse_disputed(plan: Plan) -> None:
    disputed = [conflict for zone in plan.zones for conflict in zone.conflicts]
    if disputed:
        more = f" (and {len(disputed) - 1} more)" if len(disputed) > 1 else ""
        raise DnsError(
            f"{disputed[0].record} was not written by mxfleet{more}: nothing was changed",
            hint="mxfleet dns plan shows all; with --adopt they are replaced",
        )
