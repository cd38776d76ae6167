"""Zones changed by dynamic update (RFC 2136) signed with TSIG (RFC 8945), always over TCP.

All changes of a zone are one message, which the server takes whole or not at all (RFC 2136 §3.7). Every RRset
that it touches is named in the prerequisites with all its values as they were read, so a change made by
somebody else in between refuses the whole of it instead of being overwritten (RFC 2136 §2.4).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataset
import dns.rdatatype
import dns.tsig
import dns.update
import dns.xfr
import dns.zone

from mxfleet.dns.plan import Change
from mxfleet.dns.providers.protocol import Capabilities, Snapshot
from mxfleet.dns.providers.transport import Server
from mxfleet.dns.records import Record, from_rdata
from mxfleet.errors import DnsError, PlanStale

READ_TYPES = ("MX", "A", "AAAA", "PTR", "TXT", "CNAME", "TLSA", "CAA")
MADE_BY_SIGNERS = frozenset({"SOA", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "CDS", "CDNSKEY"})
STALE = frozenset(
    {dns.rcode.NXRRSET, dns.rcode.YXRRSET, dns.rcode.NXDOMAIN, dns.rcode.YXDOMAIN}
)  # RFC 2136 §3.2.4, §3.2.5: a prerequisite does not hold


@dataclass(frozen=True, slots=True)
class Rfc2136Provider:
    """One primary server and the TSIG key that it lets update its zones."""

    server: Server

    @property
    def capabilities(self) -> Capabilities:
        """All or nothing, and never over somebody else's change."""
        return Capabilities(atomic=True, compare_and_swap=True)

    def read(self, zone: str, names: Collection[str]) -> Snapshot:
        """The zone by AXFR (RFC 5936); where the server refuses that, the records at `names` one by one."""
        try:
            return self._transfer(zone)
        except (dns.xfr.TransferError, dns.tsig.PeerBadKey):
            pass  # not ours to transfer; the single look-ups say so in a sentence where it is more than that
        return self._lookups(zone, names)

    def apply(self, zone: str, changes: Sequence[Change], expect: Snapshot) -> None:
        """One update message with its prerequisites."""
        if not changes:
            return
        try:
            answer = self.server.ask(update_message(zone, changes, expect))
        except dns.exception.TooBig as error:
            raise DnsError(
                f"{len(changes)} changes of zone {zone} do not fit into one update",
                hint="take fewer domains at a time",
            ) from error
        code = answer.rcode()
        if code in STALE:
            raise PlanStale(
                f"zone {zone} was changed by somebody else since it was read ({dns.rcode.to_text(code)})",
                hint="mxfleet dns plan",
            )
        self.server.refuse_failure(answer, f"update of zone {zone}")

    def _transfer(self, zone: str) -> Snapshot:
        holder = dns.zone.Zone(dns.name.from_text(zone), relativize=False)
        self.server.transfer(zone, holder)
        records = tuple(
            from_rdata(name, ttl, rdata)
            for name, ttl, rdata in holder.iterate_rdatas()
            if dns.rdatatype.to_text(rdata.rdtype) not in MADE_BY_SIGNERS
        )
        return Snapshot(zone, records, holder.get_soa().serial)

    def _lookups(self, zone: str, names: Collection[str]) -> Snapshot:
        records: list[Record] = []
        for name in sorted(names):
            for kind in READ_TYPES:
                records += self._lookup(zone, name, kind)
        soa = self.server.ask(dns.message.make_query(zone, "SOA", flags=0))
        self.server.refuse_failure(soa, f"reading of zone {zone}")
        serial = next((rdata.serial for rrset in soa.answer for rdata in rrset if rdata.rdtype == 6), 0)
        return Snapshot(zone, tuple(records), serial, complete=False)

    def _lookup(self, zone: str, name: str, kind: str) -> list[Record]:
        answer = self.server.ask(dns.message.make_query(name, kind, flags=0))
        if answer.rcode() == dns.rcode.NXDOMAIN:
            return []
        self.server.refuse_failure(answer, f"reading of zone {zone}")
        return [
            from_rdata(rrset.name, rrset.ttl, rdata)
            for rrset in answer.answer
            for rdata in rrset
            if dns.rdatatype.to_text(rrset.rdtype) == kind and rrset.name == dns.name.from_text(name)
        ]


def update_message(zone: str, changes: Sequence[Change], expect: Snapshot) -> dns.update.UpdateMessage:
    """The update for these changes: the prerequisites, then what goes, then what comes; pure."""
    update = dns.update.UpdateMessage(dns.name.from_text(zone))
    touched = dict.fromkeys(r.rrset for c in changes for r in (c.before, c.after) if r)
    for name, kind in touched:
        _require(update, name, kind, expect.rrset(name, kind))
    added: list[Record] = []
    for name, kind in touched:
        added += _clear(update, name, kind, [c for c in changes if c.record.rrset == (name, kind)], expect)
    for record in added:  # last: beside a CNAME that is still there they would be dropped without a word
        update.add(dns.name.from_text(record.name), record.ttl, record.rdata())  # (RFC 2136 §3.4.2.2)
    return update


def _require(update: dns.update.UpdateMessage, name: str, kind: str, values: Sequence[Record]) -> None:
    owner = dns.name.from_text(name)
    if not values:
        update.absent(owner, kind)  # RFC 2136 §2.4.3: the RRset does not exist
    for record in values:  # RFC 2136 §2.4.2: the RRset exists and has exactly these values
        update.present(owner, record.rdata())


def _clear(
    update: dns.update.UpdateMessage, name: str, kind: str, changes: Sequence[Change], expect: Snapshot
) -> list[Record]:
    """Take out what goes from one RRset; returns what is to be added to it."""
    owner = dns.name.from_text(name)
    gone = {change.before.identity for change in changes if change.before}
    come = [change.after for change in changes if change.after]
    if any(c.before and c.after and c.before.identity == c.after.identity for c in changes):
        update.delete(owner, kind)  # a new TTL is the whole RRset's; all of it is ours then
        return [record for record in expect.rrset(name, kind) if record.identity not in gone] + come
    for change in changes:
        if change.before:
            update.delete(owner, change.before.rdata())
    return come
