"""What `world` and `office` are given to run: every zone parses, and the chain of trust is whole."""

import dns.dnssec
import dns.name
import dns.rdatatype
import dns.zone
import pytest

from mxfleet.lab import dnssec, office, world
from mxfleet.lab.credentials import Credentials, served_zones
from mxfleet.lab.plan import Plan
from mxfleet.lab.root import GuestFile


def zone_of(name: str, plan: Plan, secret: Credentials) -> dns.zone.Zone:
    return dns.zone.from_text(world.zone_text(name, plan, secret), origin=name, relativize=False)


def texts(name: str, rdtype: str, zone: dns.zone.Zone) -> set[str]:
    found = zone.get_rdataset(dns.name.from_text(name), rdtype)
    return {record.to_text() for record in found or ()}


def test_the_lab_serves_the_fleet_s_zones_and_those_of_its_internet(plan: Plan) -> None:
    expected = {".", "test", "corp.test", "shop.test", "parked.test", "peer.test", "dnsbl.test"}
    assert expected < set(served_zones(plan))
    assert {"0.77.10.in-addr.arpa", "7.7.0.0.7.7.d.f.ip6.arpa"} < set(served_zones(plan))


def test_every_zone_is_delegated_with_the_digest_of_its_own_key(plan: Plan, secret: Credentials) -> None:
    for child, pem in secret.zone_keys.items():
        if child == dnssec.ROOT:
            continue
        parent = zone_of(dnssec.parent(child, secret.zone_keys), plan, secret)
        key = dnssec.public_record(pem)
        digest = dns.dnssec.make_ds(dns.name.from_text(child), key, "SHA256").to_text()
        assert texts(child, "DS", parent) == {digest}, child
        assert texts(child, "NS", parent) == {"ns1.test.", "ns2.test."}


def test_the_anchor_is_the_root_s_key(secret: Credentials) -> None:
    anchor = dnssec.trust_anchor(secret.zone_keys["."])
    assert anchor.startswith(". 3600 IN DNSKEY 257 3 13 ")


def test_name_servers_have_addresses_where_they_are_looked_for(plan: Plan, secret: Credentials) -> None:
    for zone in (".", "test"):
        assert texts("ns1.test", "A", zone_of(zone, plan, secret)) == {"10.77.0.100"}
        assert texts("ns2.test", "AAAA", zone_of(zone, plan, secret)) == {"fd77:77::101"}


def test_a_fleet_s_zone_begins_with_what_is_not_mxfleet_s(plan: Plan, secret: Credentials) -> None:
    corp = zone_of("corp.test", plan, secret)
    assert texts("corp.test", "TXT", corp) == {'"google-site-verification=mxlab-foreign-record"'}
    assert texts("office.corp.test", "A", corp) == {"10.77.0.110"}
    assert texts("corp.test", "MX", corp) == set()


def test_machines_that_are_not_the_fleet_s_have_pointers_in_both_reverse_zones(
    plan: Plan, secret: Credentials
) -> None:
    reverse4 = zone_of("0.77.10.in-addr.arpa", plan, secret)
    reverse6 = zone_of("7.7.0.0.7.7.d.f.ip6.arpa", plan, secret)
    assert texts("100.0.77.10.in-addr.arpa", "PTR", reverse4) == {"mx.peer.test."}
    name = "0.1.1.0" + ".0" * 20 + ".7.7.0.0.7.7.d.f.ip6.arpa"
    assert texts(name, "PTR", reverse6) == {"office.corp.test."}
    assert texts("11.0.77.10.in-addr.arpa", "PTR", reverse4) == set()


def test_the_peer_publishes_all_that_a_receiver_asks_for(plan: Plan, secret: Credentials) -> None:
    peer = zone_of("peer.test", plan, secret)
    (policy,) = texts("peer.test", "TXT", peer)
    assert policy.startswith('"v=spf1 ')
    assert policy.endswith(' -all"')
    assert texts("_dmarc.peer.test", "TXT", peer) == {'"v=DMARC1; p=reject"'}
    (key,) = texts("peer._domainkey.peer.test", "TXT", peer)
    assert key.startswith('"v=DKIM1; k=rsa; p=')
    assert len(texts("_25._tcp.mx.peer.test", "TLSA", peer)) == 1


@pytest.mark.parametrize("entry", ["2.0.0.127", "66.0.77.10"])
def test_the_blocklist_has_its_test_entries(entry: str, plan: Plan, secret: Credentials) -> None:
    blocklist = zone_of("dnsbl.test", plan, secret)
    assert texts(f"{entry}.dnsbl.test", "A", blocklist) == {"127.0.0.2"}
    assert texts("1.0.0.127.dnsbl.test", "A", blocklist) == set()


def test_secrets_are_in_files_that_only_their_readers_may_read(plan: Plan, secret: Credentials) -> None:
    hidden = [*secret.zone_keys.values(), secret.tsig, secret.peer_dkim, *secret.users.values()]
    hidden += [certificate.key for certificate in secret.certificates.values()]
    for entry in (*world.entries(plan, secret), *office.entries(plan, secret)):
        if isinstance(entry, GuestFile) and any(text in str(entry.content) for text in hidden):
            assert entry.mode & 0o007 == 0, entry.path


def test_every_recipient_can_log_in_at_the_office(plan: Plan, secret: Credentials) -> None:
    (users,) = [
        entry.content
        for entry in office.entries(plan, secret)
        if isinstance(entry, GuestFile) and entry.path == "/etc/dovecot/users"
    ]
    lines = str(users).splitlines()
    assert [line.split(":")[0] for line in lines] == list(plan.mailboxes)
    assert f"{{PLAIN}}{secret.users['alice@corp.test']}" in lines[0]


def test_no_service_of_the_lab_names_a_forwarder(plan: Plan, secret: Credentials) -> None:
    for entry in (*world.entries(plan, secret), *office.entries(plan, secret)):
        if isinstance(entry, GuestFile):
            assert "forward" not in str(entry.content), entry.path
