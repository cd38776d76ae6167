"""Plans that would lose mail are refused by name; `--force ID` lets one guard pass, never all of them."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from mxfleet.dns.families import Family, selector_name, tlsa_name
from mxfleet.dns.plan import Plan, ZonePlan
from mxfleet.dns.records import Record
from mxfleet.errors import DnsError, GuardRefused
from mxfleet.keys.lifecycle import LIVE
from mxfleet.keys.state import State

NULL_MX = "0 ."


@dataclass(frozen=True, slots=True)
class Case:
    """What a guard looks at: one zone's plan, the zone before and after, and the ledger's view.

    `unserved` says, by domain, which host does not serve the MTA-STS policy that the plan announces; `moving` are
    the domains that announce another policy than the fleet's, whether the plan changes that or leaves it out.
    """

    plan: ZonePlan
    before: Sequence[Record]
    after: Sequence[Record]
    state: State
    unserved: Mapping[str, str] = field(default_factory=dict)
    moving: frozenset[str] = frozenset()


Guard = Callable[[Case], Iterator[str]]


def live_selector(case: Case) -> Iterator[str]:
    """The record of a key that signs, or has signed mail that is still on its way, stays as it is."""
    live = {selector_name(k.owner, k.label): k for k in case.state.dkim() if k.state in LIVE}
    for change in case.plan.changes:
        if change.before is None or change.record.name not in live:
            continue
        if change.after is None or change.after.value != change.before.value:
            key = live[change.record.name]
            public = key.public.encode("ascii")
            kept = change.after is not None and public in change.after.octets
            if public in change.before.octets and not kept:  # else the change mends what somebody broke
                yield f"selector {key.label} of {key.owner} is {key.state}: mail signed with it would fail"


def last_mx(case: Case) -> Iterator[str]:
    """A domain that has exchanges keeps one."""
    after = {record.name for record in case.after if record.type == "MX"}
    for name in dict.fromkeys(c.record.name for c in case.plan.records("delete") if c.record.type == "MX"):
        if name not in after:
            yield f"{name} would have no MX at all: its mail would go to its A record, or nowhere"


def null_mx_over_live(case: Case) -> Iterator[str]:
    """`0 .` does not replace exchanges that take mail."""
    before = {r.name for r in case.before if r.type == "MX" and r.value != NULL_MX}
    for change in case.plan.changes:
        after = change.after
        if after and after.type == "MX" and after.value == NULL_MX and after.name in before:
            yield f"{after.name} takes mail now, and the null MX would refuse all of it"


def exchange_without_address(case: Case) -> Iterator[str]:
    """The target of an MX record in this zone keeps an address."""
    after = {record.name for record in case.after if record.type in ("A", "AAAA")}
    targets = {r.value.split(" ")[1].rstrip(".") for r in case.after if r.type == "MX"}
    gone = dict.fromkeys(c.record.name for c in case.plan.records("delete") if c.family is Family.ADDRESS)
    for name in gone:
        if name in targets and name not in after:
            yield f"{name} is an exchange (MX) and would have no address"


def live_tlsa(case: Case) -> Iterator[str]:
    """Where an exchange has TLSA records, the key that it shows stays among them, and so does one that nodes may still show."""
    after = {record.identity for record in case.after if record.type == "TLSA"}
    bound = {name for name, _, _ in after}
    touched = dict.fromkeys(c.record.name for c in case.plan.changes if c.record.type == "TLSA")
    shown = [(fact.name, fact.spki) for fact in case.state.certificates]
    shown += [(key.owner, key.spki) for key in case.state.tls() if key.state in LIVE]
    for host, spki in dict.fromkeys(shown):
        name = tlsa_name(host)
        if name in touched and name in bound and (name, "TLSA", f"3 1 1 {spki}") not in after:
            yield f"{host} shows the key {spki[:16]}…: senders that verify it by DANE would refuse to deliver"


def policy_before_id(case: Case) -> Iterator[str]:
    """The id of an MTA-STS policy is announced only when every host serves the policy."""
    for change in case.plan.changes:
        domain = change.record.name.removeprefix("_mta-sts.")
        if change.after and change.family is Family.MTA_STS and domain in case.unserved:
            yield f"{domain} would announce a policy that is not there: {case.unserved[domain]}"


def moving_policies(plan: ZonePlan) -> frozenset[str]:
    """The domains whose announced MTA-STS policy the plan replaces."""
    updates = (change.record.name for change in plan.records("update") if change.family is Family.MTA_STS)
    return frozenset(name.removeprefix("_mta-sts.") for name in updates)


def policy_before_mx(case: Case) -> Iterator[str]:
    """An exchange gets mail only after the policy that names it is announced: its id is in the zone already."""
    moving = case.moving | moving_policies(case.plan)
    for change in case.plan.changes:
        after = change.after
        if after and after.type == "MX" and after.name in moving and after.value != NULL_MX:
            target = after.value.split(" ")[1].rstrip(".")
            if not any(r.type == "MX" and r.name == after.name and target in r.value for r in case.before):
                yield (
                    f"{target} would get mail of {after.name} from senders that know only the policy without it "
                    "(first: mxfleet dns apply --without mx; a TTL later the rest)"
                )


GUARDS: dict[str, Guard] = {
    "live-selector": live_selector,
    "live-tlsa": live_tlsa,
    "policy-before-id": policy_before_id,
    "policy-before-mx": policy_before_mx,
    "last-mx": last_mx,
    "null-mx-over-live": null_mx_over_live,
    "exchange-without-address": exchange_without_address,
}


def refusals(
    plan: Plan,
    observed: Mapping[str, Sequence[Record]],
    state: State,
    unserved: Mapping[str, str] = MappingProxyType({}),
    moving: frozenset[str] = frozenset(),
) -> list[tuple[str, str]]:
    """Every (guard id, reason) that stands against the plan; pure."""
    found = []
    for zone in plan.zones:
        before = observed[zone.zone]
        case = Case(zone, before, after_plan(zone, before), state, unserved, moving)
        found += [(name, reason) for name, guard in GUARDS.items() for reason in guard(case)]
    return found


def refuse_unsafe(
    plan: Plan,
    observed: Mapping[str, Sequence[Record]],
    state: State,
    forced: Collection[str],
    unserved: Mapping[str, str] = MappingProxyType({}),
    moving: frozenset[str] = frozenset(),
) -> None:
    """Raise GuardRefused with the first refusal that is not forced; DnsError for a guard that does not exist."""
    if unknown := sorted(set(forced) - set(GUARDS)):
        raise DnsError(f"there is no guard {unknown[0]!r}", hint=f"the guards are {', '.join(GUARDS)}")
    found = refusals(plan, observed, state, unserved, moving)
    standing = [(name, reason) for name, reason in found if name not in forced]
    if standing:
        name, reason = standing[0]
        more = f" (and {len(standing) - 1} more)" if len(standing) > 1 else ""
        raise GuardRefused(f"{name}: {reason}{more}", hint=f"if that is what you want: --force {name}")


def after_plan(plan: ZonePlan, before: Sequence[Record]) -> list[Record]:
    """The zone's records once the plan is applied."""
    gone = {change.before.identity for change in plan.changes if change.before}
    come = [change.after for change in plan.changes if change.after]
    return [record for record in before if record.identity not in gone] + come
