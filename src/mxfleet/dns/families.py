"""Whose record is it: ours by what it means (its family), not by where it stands.

An apex TXT RRset holds our SPF record beside other people's verification strings; we touch the first and never
the others. A value in one of our families that the ledger does not know was written by somebody else: it is
neither kept nor removed without `--adopt`.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from mxfleet.dns.records import Record
from mxfleet.fleet.model import Fleet
from mxfleet.keys.lifecycle import Material
from mxfleet.keys.needs import server_names
from mxfleet.keys.state import KeyView, State


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
    CHALLENGE = "acme-challenge"


@dataclass(frozen=True)  # no slots: what is derived is kept, for thousands of records are asked about
class OurNames:
    """The names at which we publish, by what we publish there; all lower-case and without final dot."""

    domains: frozenset[str]
    hosts: frozenset[str]
    reverse: frozenset[str]
    selectors: frozenset[str]
    policy_hosts: frozenset[str] = frozenset()
    authorisations: frozenset[str] = frozenset()

    @cached_property
    def all(self) -> frozenset[str]:
        """Every name that must not be an alias (RFC 1034 §3.6.2: nothing stands beside a CNAME)."""
        places = self.domains | self.hosts | self.reverse | self.selectors | self.dmarc | self.tls_reports
        return places | self.policies | self.policy_hosts | self.tlsa | self.authorisations

    @cached_property
    def addressed(self) -> frozenset[str]:
        """Names with addresses of ours."""
        return self.hosts | self.policy_hosts

    @cached_property
    def certified(self) -> frozenset[str]:
        """Names whose CAA records are ours."""
        return self.addressed - self.domains

    @cached_property
    def senders(self) -> frozenset[str]:
        """Names with SPF records of ours."""
        return self.domains | self.hosts

    @cached_property
    def dmarc(self) -> frozenset[str]:
        """The names of DMARC records."""
        return frozenset(f"_dmarc.{domain}" for domain in self.domains)

    @cached_property
    def tls_reports(self) -> frozenset[str]:
        """Where TLS reporting is announced (RFC 8460 §3): for each domain, and each host that has TLSA records."""
        return frozenset(f"_smtp._tls.{name}" for name in self.domains | self.hosts)

    @cached_property
    def policies(self) -> frozenset[str]:
        """Where MTA-STS policies are announced (RFC 8461 §3.1)."""
        return frozenset(f"_mta-sts.{domain}" for domain in self.domains)

    @cached_property
    def tlsa(self) -> frozenset[str]:
        """Where the exchanges' keys are bound (RFC 6698 §3)."""
        return frozenset(tlsa_name(host) for host in self.hosts)


def our_names(fleet: Fleet, state: State) -> OurNames:
    """From the fleet and the ledger."""
    service = fleet.service.addresses if fleet.service else ()
    parked = (f"*._domainkey.{domain.name}" for domain in fleet.domains if domain.parked)
    return OurNames(
        domains=frozenset(domain.name for domain in fleet.domains),
        hosts=frozenset(server_names(fleet)),
        reverse=frozenset(address.reverse_pointer for address in (*fleet.peer_addresses, *service)),
        selectors=frozenset((*(selector_name(k.owner, k.label) for k in state.dkim()), *parked)),
        policy_hosts=frozenset(f"mta-sts.{domain.name}" for domain in fleet.domains if not domain.parked)
        if fleet.policy.mta_sts != "none"
        else frozenset(),
        authorisations=frozenset(authorisation_names(fleet)),
    )


def authorisation_names(fleet: Fleet) -> tuple[str, ...]:
    """Where the mailbox's domain agrees to get the reports of other domains (RFC 9990 §4)."""
    mailbox = fleet.policy.reports.rpartition("@")[2]
    if not mailbox:
        return ()
    return tuple(
        f"{domain.name}._report._dmarc.{mailbox}"
        for domain in fleet.domains
        if domain.name != mailbox and not domain.name.endswith(f".{mailbox}")
    )


def selector_name(domain: str, selector: str) -> str:
    """Where a DKIM key is published (RFC 6376 §3.6.2.1)."""
    return f"{selector}._domainkey.{domain}"


def tlsa_name(host: str) -> str:
    """Where the key of an exchange is bound (RFC 7672 §2.2.3)."""
    return f"_25._tcp.{host}"


def challenge_name(host: str) -> str:
    """Where a certificate authority looks for the proof that a name is ours (RFC 8555 §8.4)."""
    return f"_acme-challenge.{host}"


def home_of(key: KeyView) -> str:
    """The name whose zone holds the key's record: `_domainkey` of a domain may be delegated by itself."""
    return f"_domainkey.{key.owner}" if key.material is Material.DKIM else key.owner


def family_of(record: Record, names: OurNames) -> Family | None:
    """The family that the record belongs to, or None where it is no business of ours."""
    if record.type == "CNAME" and record.name in names.all:
        return Family.ALIAS
    if record.type == "MX" and record.name in names.domains:
        return Family.MX
    if record.type == "TLSA" and record.name in names.tlsa:
        return Family.TLSA
    if record.type == "CAA" and record.name in names.certified:
        return Family.CAA
    if record.type in ("A", "AAAA") and record.name in names.addressed:
        return Family.ADDRESS
    if record.type == "PTR" and record.name in names.reverse:
        return Family.PTR
    return _text_family(record, names) if record.type == "TXT" else None


def _text_family(record: Record, names: OurNames) -> Family | None:
    if record.name in names.senders and is_spf(record.octets):
        return Family.SPF
    if record.name in names.dmarc and record.octets.lower().startswith(b"v=dmarc1"):
        return Family.DMARC
    if record.name in names.policies and record.octets.startswith(b"v=STSv1"):
        return Family.MTA_STS
    if record.name in names.tls_reports and record.octets.startswith(b"v=TLSRPTv1"):
        return Family.TLS_RPT
    if record.name in names.authorisations and record.octets.lower().startswith(b"v=dmarc1"):
        return Family.REPORT
    return Family.DKIM if record.name in names.selectors else None


def is_spf(content: bytes) -> bool:
    """RFC 7208 §4.5: begins with exactly `v=spf1`, then a space or nothing; case does not matter."""
    head, _, _ = content.partition(b" ")
    return head.lower() == b"v=spf1"
