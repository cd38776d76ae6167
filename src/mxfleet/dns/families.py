"""Whose record is it: ours by what it means (its family), not by where it stands.

An apex TXT RRset holds our SPF record beside other people's verification strings; we touch the first and never
the others. A value in one of our families that the ledger does not know was written by somebody else: it is
neither kept nor removed without `--adopt`.
"""

from dataclasses import dataclass
from enum import StrEnum

from mxfleet.dns.records import Record
from mxfleet.fleet.model import Fleet
from mxfleet.keys.needs import server_names
from mxfleet.keys.state import State


class Family(StrEnum):
    """What a record says about mail."""

    MX = "mx"
    ADDRESS = "address"
    PTR = "ptr"
    SPF = "spf"
    DKIM = "dkim"
    DMARC = "dmarc"
    ALIAS = "alias"
    TLSA = "tlsa"
    MTA_STS = "mta-sts"
    TLS_RPT = "tls-rpt"
    CAA = "caa"
    REPORT = "report-authorisation"


@dataclass(frozen=True, slots=True)
class OurNames:
    """The names at which we publish, by what we publish there; all lower-case and without final dot."""

    domains: frozenset[str]
    hosts: frozenset[str]
    reverse: frozenset[str]
    selectors: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        """Every name that must not be an alias (RFC 1034 §3.6.2: nothing stands beside a CNAME)."""
        return self.domains | self.hosts | self.reverse | self.selectors | self.dmarc

    @property
    def dmarc(self) -> frozenset[str]:
        """The names of DMARC records."""
        return frozenset(f"_dmarc.{domain}" for domain in self.domains)


def our_names(fleet: Fleet, state: State) -> OurNames:
    """From the fleet and the ledger."""
    service = fleet.service.addresses if fleet.service else ()
    parked = (f"*._domainkey.{domain.name}" for domain in fleet.domains if domain.parked)
    return OurNames(
        domains=frozenset(domain.name for domain in fleet.domains),
        hosts=frozenset(server_names(fleet)),
        reverse=frozenset(address.reverse_pointer for address in (*fleet.peer_addresses, *service)),
        selectors=frozenset((*(selector_name(k.owner, k.label) for k in state.dkim()), *parked)),
    )


def selector_name(domain: str, selector: str) -> str:
    """Where a DKIM key is published (RFC 6376 §3.6.2.1)."""
    return f"{selector}._domainkey.{domain}"


def family_of(record: Record, names: OurNames) -> Family | None:
    """The family that the record belongs to, or None where it is no business of ours."""
    if record.type == "CNAME" and record.name in names.all:
        return Family.ALIAS
    if record.type == "MX" and record.name in names.domains:
        return Family.MX
    if record.type in ("A", "AAAA") and record.name in names.hosts:
        return Family.ADDRESS
    if record.type == "PTR" and record.name in names.reverse:
        return Family.PTR
    return _text_family(record, names) if record.type == "TXT" else None


def _text_family(record: Record, names: OurNames) -> Family | None:
    if record.name in names.domains | names.hosts and is_spf(record.octets):
        return Family.SPF
    if record.name in names.dmarc and record.octets.lower().startswith(b"v=dmarc1"):
        return Family.DMARC
    return Family.DKIM if record.name in names.selectors else None


def is_spf(content: bytes) -> bool:
    """RFC 7208 §4.5: begins with exactly `v=spf1`, then a space or nothing; case does not matter."""
    head, _, _ = content.partition(b" ")
    return head.lower() == b"v=spf1"
