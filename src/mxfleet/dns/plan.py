"""The plan: what would change in which zone, as a frozen value with a checksum; pure.

plan = wanted records against observed ones, by ownership:

    observed and wanted             stays (its TTL is set right where the whole RRset is ours)
    observed, ours, not wanted      goes
    observed, in our family, but
      written by somebody else      a conflict: nothing is applied until `--adopt` takes it over
    observed, anything else         foreign: never read further, never touched
    wanted, not observed            comes
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mxfleet.dns.families import Family, OurNames, family_of
from mxfleet.dns.records import Identity, Record, by_name
from mxfleet.dns.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Change:
    """One value that comes (`before` is None), goes (`after` is None) or is replaced by another."""

    before: Record | None
    after: Record | None
    family: Family
    why: str

    @property
    def kind(self) -> str:
        """`create`, `update` or `delete`."""
        if self.before is None:
            return "create"
        return "update" if self.after else "delete"

    @property
    def record(self) -> Record:
        """The record that the change is about: the new one, or the one that goes."""
        record = self.after or self.before
        if record is None:
            raise ValueError("a change without a record")
        return record


@dataclass(frozen=True, slots=True)
class Conflict:
    """A value in one of our families that somebody else wrote."""

    record: Record
    family: Family


@dataclass(frozen=True, slots=True)
class ZonePlan:
    """What would change in one zone; `claimed` are wanted values that are there already without our doing."""

    zone: str
    changes: tuple[Change, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    claimed: tuple[Record, ...] = ()
    in_place: int = 0
    foreign: int = 0

    def records(self, kind: str) -> tuple[Change, ...]:
        """The changes of one kind."""
        return tuple(change for change in self.changes if change.kind == kind)


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a fleet; `advice` are wanted records in zones that are not ours to change."""

    fleet: str
    zones: tuple[ZonePlan, ...] = ()
    advice: tuple[Wanted, ...] = ()

    @property
    def pending(self) -> bool:
        """Whether anything would change, or wants a decision."""
        return any(zone.changes or zone.conflicts for zone in self.zones)

    @property
    def checksum(self) -> str:
        """The same for the same changes, whoever makes the plan and however often."""
        canonical = json.dumps(self.as_json(reasons=False), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def as_json(self, *, reasons: bool = True) -> dict[str, Any]:
        """For programs; without `reasons` only what the checksum covers."""
        return {
            "fleet": self.fleet,
            "zones": [_zone_json(zone, reasons) for zone in self.zones if zone.changes or zone.conflicts],
        }


def plan_zone(
    zone: str,
    wanted: Sequence[Wanted],
    observed: Sequence[Record],
    ours: Collection[Identity],
    names: OurNames,
    *,
    adopt: bool = False,
) -> ZonePlan:
    """The plan of one zone. `ours` are the identities that the ledger says we wrote."""
    sought = {item.record.identity: item for item in wanted}
    there = {record.identity: record for record in observed}
    gone, conflicts, foreign = _sort_out(observed, sought, ours, names, adopt=adopt)
    shared = {record.rrset: record.ttl for record in foreign}
    items = [_with_ttl(item, shared) for item in wanted]
    new = [item for item in items if item.record.identity not in there]
    stay = [item for item in items if item.record.identity in there]
    wrong_ttl = [
        (there[item.record.identity], item)
        for item in stay
        if item.record.ttl != there[item.record.identity].ttl
    ]
    changes = [
        *_paired(gone, new),
        *(Change(old, item.record, item.family, "its TTL") for old, item in wrong_ttl),
    ]
    return ZonePlan(
        zone=zone,
        changes=_in_order(changes),
        conflicts=tuple(conflicts),
        claimed=tuple(item.record for item in stay if item.record.identity not in ours),
        in_place=len(stay) - len(wrong_ttl),
        foreign=len(foreign),
    )


def _sort_out(
    observed: Sequence[Record],
    sought: Collection[Identity],
    ours: Collection[Identity],
    names: OurNames,
    *,
    adopt: bool,
) -> tuple[list[tuple[Record, Family]], list[Conflict], list[Record]]:
    gone: list[tuple[Record, Family]] = []
    conflicts: list[Conflict] = []
    foreign: list[Record] = []
    for record in by_name(observed):
        family = family_of(record, names)
        if record.identity in sought:
            continue
        if record.identity in ours or (family and adopt):
            gone.append((record, family or former_family(record)))
        elif family:
            conflicts.append(Conflict(record, family))
        else:
            foreign.append(record)
    return gone, conflicts, foreign


def former_family(record: Record) -> Family:
    """The family of a value of ours from its name alone, also where the fleet no longer has that name."""
    if record.type == "TXT":
        places = {
            "._domainkey.": Family.DKIM,
            "._report._dmarc.": Family.REPORT,
            "._dmarc.": Family.DMARC,
            "._mta-sts.": Family.MTA_STS,
            "._smtp._tls.": Family.TLS_RPT,
            "._acme-challenge.": Family.CHALLENGE,
        }
        return next((family for part, family in places.items() if part in f".{record.name}"), Family.SPF)
    others = {
        "MX": Family.MX,
        "PTR": Family.PTR,
        "CNAME": Family.ALIAS,
        "TLSA": Family.TLSA,
        "CAA": Family.CAA,
    }
    return others.get(record.type, Family.ADDRESS)


def _with_ttl(item: Wanted, shared: dict[tuple[str, str], int]) -> Wanted:
    """In an RRset with foreign values ours takes their TTL: one RRset has one (RFC 2181 §5.2), and theirs is theirs."""
    ttl = shared.get(item.record.rrset)
    return item if ttl is None else replace(item, record=replace(item.record, ttl=ttl))


def _paired(gone: Iterable[tuple[Record, Family]], new: Iterable[Wanted]) -> list[Change]:
    """Changes, where one value goes and another of its RRset and family comes, as one update."""
    leaving: dict[tuple[str, str, Family], list[Record]] = defaultdict(list)
    for record, family in gone:
        leaving[(*record.rrset, family)].append(record)
    changes = []
    for item in new:
        old = leaving[(*item.record.rrset, item.family)]
        changes.append(Change(old.pop(0) if old else None, item.record, item.family, item.why))
    for (_, _, family), records in leaving.items():
        changes += [Change(record, None, family, "no longer wanted") for record in records]
    return changes


def _in_order(changes: Sequence[Change]) -> tuple[Change, ...]:
    place = {id(record): n for n, record in enumerate(by_name(change.record for change in changes))}
    return tuple(sorted(changes, key=lambda change: place[id(change.record)]))


def _zone_json(zone: ZonePlan, reasons: bool) -> dict[str, Any]:
    return {
        "zone": zone.zone,
        "changes": [
            {
                "kind": change.kind,
                "family": change.family,
                "before": str(change.before) if change.before else None,
                "after": str(change.after) if change.after else None,
            }
            | ({"why": change.why} if reasons else {})
            for change in zone.changes
        ],
        "conflicts": [{"family": c.family, "record": str(c.record)} for c in zone.conflicts],
    }
