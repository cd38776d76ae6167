"""A zone in a file (RFC 1035 §5): for a server that loads it, or for people who carry it to their host's web page.

The file is read and written as a whole: its records stay, its comments and its layout do not. The serial rises
with each change. It is replaced at once, and only if it is still what was read.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.name
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.zone

from mxfleet.dns.plan import Change
from mxfleet.dns.providers.protocol import Capabilities, Snapshot
from mxfleet.dns.records import Record, from_rdata
from mxfleet.errors import DnsError, PlanStale


@dataclass(frozen=True, slots=True)
class ZoneFileProvider:
    """One file, one zone."""

    path: Path

    @property
    def capabilities(self) -> Capabilities:
        """A rename is all or nothing; the file is compared with what was read."""
        return Capabilities(atomic=True, compare_and_swap=True)

    def read(self, zone: str, names: Collection[str]) -> Snapshot:  # noqa: ARG002  (it is all there)
        """The whole file."""
        parsed = self._parse(zone)
        records = tuple(
            from_rdata(name, ttl, rdata)
            for name, ttl, rdata in parsed.iterate_rdatas()
            if rdata.rdtype != dns.rdatatype.SOA
        )
        return Snapshot(zone, records, parsed.get_soa().serial)

    def apply(self, zone: str, changes: Sequence[Change], expect: Snapshot) -> None:
        """Write the file anew with the changes, beside the old one, then in its place."""
        if not changes:
            return
        parsed = self._parse(zone)
        touched = dict.fromkeys(r.rrset for c in changes for r in (c.before, c.after) if r)
        now = self.read(zone, ())
        if any(_values(now, *rrset) != _values(expect, *rrset) for rrset in touched):
            raise PlanStale(
                f"zone {zone} was changed by somebody else since it was read ({self.path})",
                hint="mxfleet dns plan",
            )
        gone = {c.before.identity for c in changes if c.before}
        come = [c.after for c in changes if c.after]
        for name, kind in touched:
            kept = [r for r in now.rrset(name, kind) if r.identity not in gone]
            _replace(parsed, name, kind, [*kept, *(r for r in come if r.rrset == (name, kind))])
        self._write(parsed)

    def _parse(self, zone: str) -> dns.zone.Zone:
        try:
            return dns.zone.from_file(str(self.path), zone, relativize=False)
        except OSError as error:
            raise DnsError(f"zone file {self.path} of {zone}: {error.strerror}") from error
        except (dns.exception.DNSException, ValueError) as error:
            raise DnsError(
                f"zone file {self.path} of {zone} cannot be understood: {error or type(error).__name__}"
            ) from error

    def _write(self, parsed: dns.zone.Zone) -> None:
        soa = parsed.find_rdataset(parsed.origin or "@", "SOA")
        serial = (
            soa[0].serial + 1
        ) % 2**32 or 1  # RFC 1982 §3.1: one more, around the corner; 0 means trouble
        parsed.replace_rdataset(
            parsed.origin or "@", dns.rdataset.from_rdata(soa.ttl, soa[0].replace(serial=serial))
        )
        beside = self.path.with_name(f".{self.path.name}.new")
        try:
            with beside.open("w") as file:
                parsed.to_file(file, relativize=False, sorted=True)
                file.flush()
                os.fsync(file.fileno())
            beside.chmod(self.path.stat().st_mode & 0o777)
            beside.replace(self.path)
        except OSError as error:
            raise DnsError(f"zone file {self.path} cannot be written: {error.strerror}") from error


def _values(snapshot: Snapshot, name: str, kind: str) -> set[tuple[str, int]]:
    return {(record.value, record.ttl) for record in snapshot.rrset(name, kind)}


def _replace(parsed: dns.zone.Zone, name: str, kind: str, records: Sequence[Record]) -> None:
    owner = dns.name.from_text(name)
    if not owner.is_subdomain(parsed.origin or dns.name.root):
        raise DnsError(f"{name} lies outside of the zone: NOTZONE, a name lies outside of the zone")
    if not records:
        parsed.delete_rdataset(owner, kind)
        if not parsed.nodes.get(owner):
            parsed.nodes.pop(owner, None)
        return
    rdatas = [record.rdata() for record in records]
    parsed.replace_rdataset(owner, dns.rdataset.from_rdata_list(min(r.ttl for r in records), rdatas))
