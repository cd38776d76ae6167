"""Records that protect mail on its way to us, checked against what the RFCs ask for."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mxfleet.dns.desired import all_wanted
from mxfleet.dns.families import Family, family_of, our_names
from mxfleet.dns.records import Record, caa
from mxfleet.dns.spf_limits import spf_problems
from mxfleet.fleet import Acme, Fleet
from mxfleet.fleet.transport_policy import policy_id, policy_text
from mxfleet.keys.facts import AccountMade, AnyFact, Issued, Minted, Moved
from mxfleet.keys.lifecycle import KeyState, Material
from mxfleet.keys.state import State
from mxfleet.mail.questions import Answer, NxDomain, Question, Response

from .samples import LAB, active_state

SPKI, NEXT = "ab" * 32, "cd" * 32
SIGNED = replace(LAB, zones=tuple(replace(zone, signed=zone.name == "corp.test") for zone in LAB.zones))
PLAIN = replace(LAB, acme=None, zones=tuple(replace(zone, signed=False) for zone in LAB.zones))
ACCOUNT = "https://acme.test/acct/1"


def fleet(**policy: object) -> Fleet:
    return replace(SIGNED, policy=replace(SIGNED.policy, **policy))  # type: ignore[arg-type]


def served(name: str = "mx.corp.test") -> Issued:
    return Issued(
        name=name, chain="", fingerprint="00", spki=SPKI, secret="tls/x", issuer="acme",
        not_after=datetime(2027, 2, 1, tzinfo=UTC),
    )  # fmt: skip


def next_key(name: str = "mx.corp.test", *states: KeyState) -> list[AnyFact]:
    minted = Minted(material=Material.TLS, owner=name, label="p1", algorithm="p256", public="", spki=NEXT)
    return [minted, *(Moved(key=f"tls/{name}/p1", state=state) for state in states)]


def values(name: str, kind: str, of: Fleet, state: State | None = None) -> list[str]:
    wanted = all_wanted(of, state or active_state())
    return [item.record.value for item in wanted if item.record.rrset == (name, kind)]


def test_without_a_policy_nothing_of_all_this_is_published() -> None:
    families = {item.family for item in all_wanted(PLAIN, active_state(served()))}
    assert families == {Family.MX, Family.ADDRESS, Family.PTR, Family.SPF, Family.DKIM, Family.DMARC}


def test_tlsa_holds_the_key_that_is_served_and_the_next_one() -> None:
    state = active_state(served(), *next_key())
    assert values("_25._tcp.mx.corp.test", "TLSA", SIGNED, state) == [f"3 1 1 {SPKI}", f"3 1 1 {NEXT}"]
    revoked = (KeyState.PUBLISHED, KeyState.REMOVED)
    assert values(
        "_25._tcp.mx.corp.test", "TLSA", SIGNED, active_state(served(), *next_key("mx.corp.test", *revoked))
    ) == [f"3 1 1 {SPKI}"]


def test_tlsa_is_only_for_exchanges_and_only_in_signed_zones() -> None:
    state = active_state(served(), served("submit.corp.test"))
    assert values("_25._tcp.submit.corp.test", "TLSA", SIGNED, state) == []
    assert values("_25._tcp.mx.corp.test", "TLSA", PLAIN, state) == []


def test_the_sts_id_changes_exactly_with_the_policy() -> None:
    enforcing, testing = fleet(mta_sts="enforce"), fleet(mta_sts="testing")
    assert policy_text(enforcing) == (
        "version: STSv1\nmode: enforce\nmx: mx.corp.test\nmx: mx1.corp.test\n"
        "mx: mx2.corp.test\nmx: mx3.corp.test\nmax_age: 86400\n"
    )
    assert policy_id(enforcing) == policy_id(replace(enforcing, postmaster="abuse@corp.test"))
    assert policy_id(enforcing) != policy_id(testing)
    assert len(policy_id(enforcing)) == 32
    assert policy_id(enforcing).isalnum()
    assert values("_mta-sts.shop.test", "TXT", enforcing) == [f'"v=STSv1; id={policy_id(enforcing)}"']
    assert values("mta-sts.shop.test", "A", enforcing) == ["10.77.0.10"]


def test_tls_reports_are_asked_for_each_domain_and_each_exchange_with_tlsa() -> None:
    reporting = fleet(tls_reports="tls@corp.test")
    text = ['"v=TLSRPTv1; rua=mailto:tls@corp.test"']
    assert values("_smtp._tls.shop.test", "TXT", reporting) == text
    assert values("_smtp._tls.mx.corp.test", "TXT", reporting) == text
    assert values("_smtp._tls.parked.test", "TXT", reporting) == []


def test_aggregate_reports_of_other_domains_are_authorised_by_the_mailboxs_domain() -> None:
    reporting = fleet(reports="dmarc@corp.test")
    assert values("_dmarc.shop.test", "TXT", reporting) == [
        '"v=DMARC1; p=reject; rua=mailto:dmarc@corp.test"'
    ]
    assert values("_dmarc.parked.test", "TXT", reporting)[0].endswith(
        'np=reject; rua=mailto:dmarc@corp.test"'
    )
    assert values("shop.test._report._dmarc.corp.test", "TXT", reporting) == ['"v=DMARC1"']
    assert values("parked.test._report._dmarc.corp.test", "TXT", reporting) == ['"v=DMARC1"']
    assert values("corp.test._report._dmarc.corp.test", "TXT", reporting) == []


def test_caa_names_our_account_at_our_hosts_and_leaves_the_domain_alone() -> None:
    certified = replace(SIGNED, acme=Acme(directory="https://acme.test/dir", issuer="acme.test"))
    state = active_state(AccountMade(directory="https://acme.test/dir", url=ACCOUNT))
    assert values("mx.corp.test", "CAA", certified, state) == [
        f'0 issue "acme.test; accounturi={ACCOUNT}; validationmethods=dns-01"', '0 issuewild ";"',
    ]  # fmt: skip
    assert values("corp.test", "CAA", certified, state) == []
    assert values("mx.corp.test", "CAA", certified) == []  # no account yet


@pytest.mark.parametrize(
    ("record", "family"),
    [
        (Record("_25._tcp.mx.corp.test", "TLSA", f"3 1 1 {SPKI}", 5), Family.TLSA),
        (Record("_443._tcp.mx.corp.test", "TLSA", f"3 1 1 {SPKI}", 5), None),
        (caa("mx.corp.test", 5, "issue", "x.test"), Family.CAA),
        (caa("corp.test", 5, "issue", "x.test"), None),
        (Record("_mta-sts.corp.test", "TXT", '"v=STSv1; id=1"', 5), Family.MTA_STS),
        (Record("_mta-sts.corp.test", "TXT", '"something"', 5), None),
        (Record("_smtp._tls.corp.test", "TXT", '"v=TLSRPTv1; rua=mailto:x@y.test"', 5), Family.TLS_RPT),
        (Record("shop.test._report._dmarc.corp.test", "TXT", '"v=DMARC1"', 5), Family.REPORT),
        (Record("mta-sts.corp.test", "CNAME", "host.test.", 5), Family.ALIAS),
    ],
    ids=lambda value: str(value)[:40],
)
def test_ours_by_meaning(record: Record, family: Family | None) -> None:
    names = our_names(fleet(mta_sts="enforce", reports="dmarc@corp.test"), active_state())
    assert family_of(record, names) is family


def also(*terms: str) -> Fleet:
    [corp, *others] = LAB.domains
    return replace(LAB, domains=(replace(corp, also_send=terms), *others))


def zone(texts: dict[str, bytes]) -> Callable[[Question], Response]:
    return lambda question: (
        Answer((texts[question.name],)) if question.type == "TXT" and question.name in texts else NxDomain()
    )


def test_terms_of_others_stand_after_our_own_addresses_and_before_the_end() -> None:
    [text] = values("corp.test", "TXT", also("include:_spf.other.test"))
    assert text.endswith('ip6:fd77:77::13 include:_spf.other.test ~all"')


def test_an_spf_record_within_the_limits_passes() -> None:
    assert list(spf_problems(also("include:a.test"), zone({"a.test": b"v=spf1 ip4:192.0.2.9 -all"}))) == []
    assert list(spf_problems(LAB, zone({}))) == []


def test_too_many_lookups_are_refused_before_a_receiver_does() -> None:
    chain = {f"s{n}.test": f"v=spf1 include:s{n + 1}.test -all".encode() for n in range(11)}
    [(domain, sentence)] = spf_problems(also("include:s0.test"), zone(chain))
    assert domain == "corp.test"
    assert sentence.startswith("its SPF record would give permerror: ")


def test_voids_and_size_are_refused_too() -> None:
    [(_, voids)] = spf_problems(also("a:x.test", "a:y.test", "a:z.test"), zone({}))
    assert "permerror" in voids
    [(_, size), *_] = spf_problems(also(*(f"ip4:198.51.100.{n}" for n in range(20))), zone({}))
    assert size == "its SPF record has 454 octets, more than 450"
