"""Drift of the third kind: what the provider holds, and some authoritative server does not show.

The first two (what is wanted against what the provider holds, and values that others wrote in our families) are
the plan itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype

from mxfleet.dns.authority import THREADS, Ask, ask_server, question, serial_of
from mxfleet.dns.lookup import NO_ROUTE_ERRORS, Authority, authorities, lookup_for
from mxfleet.dns.publish import Planned
from mxfleet.dns.records import Record, from_rdata
from mxfleet.fleet.model import Fleet


@dataclass(frozen=True, slots=True)
class Lag:
    """A server that does not show one of our records as the provider holds it; `says` is what it shows instead."""

    authority: Authority
    record: Record
    says: str
    serial: int | None

    def __str__(self) -> str:
        serial = f", its zone has serial {self.serial}" if self.serial is not None else ""
        where = f"{self.authority.name} ({self.authority.address})"
        return f"{where} {self.says}: {self.record.name}. {self.record.type}{serial}"


def lagging(fleet: Fleet, planned: Planned, ask: Ask = ask_server) -> list[Lag]:
    """Every record of ours that is in place, asked of every address of every server of its zone."""
    pairs: list[tuple[Authority, str, Record]] = []
    zones = {zone.name: zone for zone in fleet.zones}
    for plan in planned.plan.zones:
        held = in_place(
            planned.state.records.get(plan.zone, frozenset()), planned.snapshots[plan.zone].records
        )
        servers = authorities(plan.zone, lookup_for(fleet, zones[plan.zone])) if held else ()
        pairs += [(server, plan.zone, record) for server in servers for record in held]
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lambda pair: _compare(pair[0], pair[1], pair[2], ask), pairs)
        return [lag for lag in found if lag]


def in_place(ours: Iterable[tuple[str, str, str]], observed: Sequence[Record]) -> list[Record]:
    """Those of our values that the provider holds; pure."""
    known = set(ours)
    return [record for record in observed if record.identity in known]


def by_server(lags: Iterable[Lag]) -> Mapping[str, list[Lag]]:
    """Grouped for people: one server, all that it lacks."""
    grouped: dict[str, list[Lag]] = {}
    for lag in lags:
        grouped.setdefault(f"{lag.authority.name} ({lag.authority.address})", []).append(lag)
    return grouped


def _compare(server: Authority, zone: str, record: Record, ask: Ask) -> Lag | None:
    try:
        answer = ask(question(record.name, record.type), server.address, server.port)
    except OSError as error:
        if error.errno in NO_ROUTE_ERRORS and not isinstance(error, TimeoutError):
            return None
        return Lag(server, record, "does not answer", None)
    except dns.exception.DNSException:
        return Lag(server, record, "does not answer", None)
    says = judge(answer, record)
    return Lag(server, record, says, serial_of(zone, server, ask)) if says else None


def judge(answer: dns.message.Message, record: Record) -> str:
    """What is wrong with the answer; empty where the record is in it. Pure."""
    if not answer.flags & dns.flags.AA:
        return "is not authoritative"
    owner, kind = dns.name.from_text(record.name), dns.rdatatype.from_text(record.type)
    shown = [
        from_rdata(rrset.name, rrset.ttl, rdata)
        for rrset in answer.answer
        for rdata in rrset
        if rrset.name == owner and rdata.rdtype == kind
    ]
    if record.identity in {found.identity for found in shown}:
        return ""
    return "shows something else" if shown else "does not have it"
