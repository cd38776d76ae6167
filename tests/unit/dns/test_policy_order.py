"""A policy before its id, its id before the exchange that it names: what stands against another order."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mxfleet.dns.families import Family
from mxfleet.dns.guards import moving_policies, refusals
from mxfleet.dns.policy_hosts import THREADS, unserved
from mxfleet.dns.publish import _only
from mxfleet.fleet import Address, Fleet
from mxfleet.fleet.transport_policy import policy_text
from mxfleet.keys.facts import Issued, Minted, Moved
from mxfleet.keys.lifecycle import KeyState, Material

from .samples import LAB, START, active_state, owning, plan_of, wanted_records

STS = replace(LAB, policy=replace(LAB.policy, mta_sts="enforce"))
SMALLER = replace(STS, nodes=STS.nodes[:2])


def standing(
    before: Fleet, after: Fleet, unserved: dict[str, str], without: frozenset[Family] = frozenset()
) -> list[tuple[str, str]]:
    """What stands against going from one fleet's records to the other's."""
    observed = {zone.name: wanted_records(before, active_state(), zone.name) for zone in after.zones}
    state = active_state(*(owning(*records, zone=zone) for zone, records in observed.items()))
    plan = plan_of(after, state, observed)
    moving = frozenset(domain for zone in plan.zones for domain in moving_policies(zone))
    plan = replace(plan, zones=tuple(_only(zone, frozenset(Family) - without) for zone in plan.zones))
    return refusals(plan, observed, state, unserved, moving)


def test_an_id_is_not_announced_while_a_host_serves_another_policy() -> None:
    testing = replace(STS, policy=replace(STS.policy, mta_sts="testing"))
    reason = "mx2 (10.77.0.12) serves another policy"
    assert standing(STS, testing, {"corp.test": reason}) == [
        ("policy-before-id", f"corp.test would announce a policy that is not there: {reason}")
    ]
    assert standing(STS, testing, {}) == []
    assert standing(LAB, STS, {"corp.test": reason})[0][0] == "policy-before-id"


def test_an_exchange_gets_no_mail_before_the_policy_that_names_it_is_announced() -> None:
    found = standing(SMALLER, STS, {})
    assert {name for name, _ in found} == {"policy-before-mx"}
    assert found[0][1].startswith(
        "mx3.corp.test would get mail of corp.test from senders that know only the policy without it "
    )
    assert standing(SMALLER, STS, {}, frozenset({Family.MX})) == []  # first the id, the rest a TTL later
    without = standing(
        SMALLER, STS, {}, frozenset({Family.MTA_STS})
    )  # and leaving the id out is no way around
    assert {name for name, _ in without} == {"policy-before-mx"}


def test_an_exchange_that_leaves_goes_first() -> None:
    assert standing(STS, SMALLER, {}) == []


def served(policies: dict[str, bytes | Exception]) -> dict[str, str]:
    def fetch(host: str, address: Address) -> bytes:
        found = policies.get(str(address), policy_text(STS).encode())
        if isinstance(found, Exception):
            raise found
        return found

    return unserved(STS, ["corp.test"], fetch)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"version: STSv1\n", "mx2 (10.77.0.12) serves another policy"),
        (ConnectionRefusedError("refused"), "mx2 (10.77.0.12) does not serve it: refused"),
        (TimeoutError("timed out"), "mx2 (10.77.0.12) does not serve it: timed out"),
    ],
)
def test_the_first_host_that_does_not_serve_the_policy_is_named(said: bytes | Exception, reason: str) -> None:
    assert served({}) == {}
    assert served({"10.77.0.12": said}) == {"corp.test": reason}


def test_a_host_that_is_silent_is_waited_for_a_few_times_and_not_once_a_domain() -> None:
    waited: list[Address] = []

    def fetch(_host: str, address: Address) -> bytes:
        if str(address) == "10.77.0.12":
            waited.append(address)
            raise TimeoutError("timed out")
        return policy_text(STS).encode()

    domains = [f"d{number}.test" for number in range(1000)]
    assert len(unserved(STS, domains, fetch)) == 1000
    assert len(waited) <= THREADS


def test_a_family_that_cannot_be_reached_from_here_is_no_reason() -> None:
    import errno

    away = OSError(errno.ENETUNREACH, "no route")
    assert served({str(node.address6): away for node in STS.nodes}) == {}
    assert IPv4Address("10.77.0.12") in STS.peer_addresses


def test_the_tlsa_record_of_the_key_that_is_shown_is_not_taken_away() -> None:
    signed = replace(LAB, zones=tuple(replace(z, signed=z.name == "corp.test") for z in LAB.zones))
    spki = {label: label[-2:] * 32 for label in ("p-aa", "p-bb")}
    host = "mx.corp.test"
    certificate = Issued(
        name=host,
        chain="",
        fingerprint="00",
        spki=spki["p-aa"],
        not_after=START,
        secret="tls/x",
        issuer="acme",
    )
    minted = [
        Minted(material=Material.TLS, owner=host, label=label, algorithm="p256", public="", spki=value)
        for label, value in spki.items()
    ]
    steps = [
        Moved(key=f"tls/{host}/p-aa", state=s)
        for s in (KeyState.PUBLISHED, KeyState.VISIBLE, KeyState.ACTIVE)
    ]
    state = active_state(*minted, certificate, *steps)
    records = {zone.name: wanted_records(signed, state, zone.name) for zone in signed.zones}
    owned = [owning(*found, zone=zone) for zone, found in records.items()]
    older = active_state(minted[1], *owned)  # a checkout that knows the next key alone
    plan = plan_of(signed, older, records)
    whole = active_state(*minted, certificate, *steps, *owned)
    assert [name for name, _ in refusals(plan, records, whole)] == ["live-tlsa"]
    assert refusals(plan_of(signed, whole, records), records, whole) == []
