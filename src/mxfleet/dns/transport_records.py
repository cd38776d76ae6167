"""What protects mail on its way to us: TLSA, MTA-STS, TLS reporting, CAA, and who may get our reports; pure."""

from collections.abc import Iterator

from mxfleet.dns.families import Family, authorisation_names
from mxfleet.dns.records import address, caa, tlsa, txt
from mxfleet.dns.wanted import Wanted
from mxfleet.fleet.model import Domain, Fleet
from mxfleet.fleet.transport_policy import policy_id
from mxfleet.keys.needs import bound_names, certificate_names
from mxfleet.keys.state import State


def transport_records(fleet: Fleet, state: State) -> Iterator[Wanted]:
    """All of them, as far as the policy asks for them."""
    yield from _tlsa(fleet, state)
    yield from _caa(fleet, state)
    for name in authorisation_names(fleet):
        yield Wanted(
            txt(name, fleet.policy.record_ttl, b"v=DMARC1"),
            Family.REPORT,
            "its reports may come here (RFC 9990)",
        )
    for domain in fleet.domains:
        if not domain.parked:
            yield from _mta_sts(fleet, domain)
            if fleet.policy.tls_reports:
                yield _tls_reports(fleet, domain.name)


def _mta_sts(fleet: Fleet, domain: Domain) -> Iterator[Wanted]:
    if fleet.policy.mta_sts == "none":
        return
    ttl, host = fleet.policy.record_ttl, f"mta-sts.{domain.name}"
    for value in fleet.service.addresses if fleet.service else fleet.nodes[0].addresses:
        yield Wanted(address(host, ttl, value), Family.ADDRESS, "serves the MTA-STS policy")
    text = f"v=STSv1; id={policy_id(fleet)}".encode("ascii")
    yield Wanted(txt(f"_mta-sts.{domain.name}", ttl, text), Family.MTA_STS, f"policy {fleet.policy.mta_sts}")


def _tls_reports(fleet: Fleet, name: str) -> Wanted:
    text = f"v=TLSRPTv1; rua=mailto:{fleet.policy.tls_reports}".encode("ascii")
    return Wanted(
        txt(f"_smtp._tls.{name}", fleet.policy.record_ttl, text),
        Family.TLS_RPT,
        "who failed to reach us by TLS",
    )


def _tlsa(fleet: Fleet, state: State) -> Iterator[Wanted]:
    """For exchanges in signed zones: the key that is served and those that may be next (RFC 7671 §8.1)."""
    for host in bound_names(fleet):
        for spki, why in state.tls_keys(host):
            yield Wanted(tlsa(host, 25, fleet.policy.record_ttl, spki), Family.TLSA, why)
        if fleet.policy.tls_reports:
            yield _tls_reports(fleet, host)


def _caa(fleet: Fleet, state: State) -> Iterator[Wanted]:
    """At our host names, not at the domains: who issues for a domain's web site is not our business.

    `accounturi` and `validationmethods` (RFC 8657) shut out other customers of the same authority.
    """
    if fleet.acme is None or not state.acme_account:
        return
    allowed = f"{fleet.acme.issuer}; accounturi={state.acme_account}; validationmethods=dns-01"
    domains = {domain.name for domain in fleet.domains}
    for host in certificate_names(fleet):
        if host in domains:
            continue
        for tag, value in (("issue", allowed), ("issuewild", ";")):
            yield Wanted(
                caa(host, fleet.policy.record_ttl, tag, value), Family.CAA, "who may issue for this host"
            )
