"""The plan for people: a sign, the record, and the reason; the same plan always gives the same text."""

from collections.abc import Callable, Iterator

from mxfleet.dns.families import Family
from mxfleet.dns.plan import Change, Plan, ZonePlan

Paint = Callable[[str, str], str]
"""(colour name, text) → text; the identity where there is no terminal."""

LONGEST = 100


def plain(_colour: str, text: str) -> str:
    """No colour at all."""
    return text


def plan_text(plan: Plan, paint: Paint = plain) -> str:
    """All zones in which something changes, a summary line, and advice for zones that are not ours."""
    lines: list[str] = []
    for zone in plan.zones:
        if zone.changes or zone.conflicts:
            lines += [*_zone(zone, paint), ""]
    lines.append(summary(plan))
    if plan.advice:
        lines += ["", "In zones that are not ours; whoever runs them should have:"]
        lines += [f"    {_short(str(item.record))}  ({item.why})" for item in plan.advice]
    return "\n".join(lines) + "\n"


def summary(plan: Plan) -> str:
    """One line of numbers."""
    counts = {
        kind: sum(len(zone.records(kind)) for zone in plan.zones) for kind in ("create", "update", "delete")
    }
    conflicts = sum(len(zone.conflicts) for zone in plan.zones)
    in_place = sum(zone.in_place for zone in plan.zones)
    foreign = sum(zone.foreign for zone in plan.zones)
    head = f"plan {plan.checksum}: " if plan.pending else ""
    changes = ", ".join(f"{number} to {kind}" for kind, number in counts.items() if number) or "no changes"
    dispute = f", {conflicts} in dispute" if conflicts else ""
    return f"{head}{changes}{dispute}; {in_place} in place, {foreign} foreign left alone"


def _zone(zone: ZonePlan, paint: Paint) -> Iterator[str]:
    yield f"zone {zone.zone}"
    for change in zone.changes:
        yield from _change(change, paint)
    for conflict in zone.conflicts:
        yield paint("yellow", f"  ! {_short(str(conflict.record))}")
        if conflict.family is Family.ALIAS:
            yield "      an alias in the place of a name of ours: --adopt replaces it"
        else:
            yield f"      not written by mxfleet, which means to say what {conflict.family} is: --adopt replaces it"


def _change(change: Change, paint: Paint) -> Iterator[str]:
    sign, colour = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}[change.kind]
    yield f"{paint(colour, f'  {sign} {_short(str(change.record))}')}  ; {change.why}"
    if change.before and change.after:
        same = change.before.value == change.after.value
        yield f"      was {f'TTL {change.before.ttl}' if same else _short(change.before.value)}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
