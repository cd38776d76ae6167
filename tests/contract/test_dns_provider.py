"""What every DNS provider must do, on real servers; a missing server is a failure, never a silent pass."""

import dataclasses
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from ipaddress import IPv4Address
from pathlib import Path

import dns.tsig
import pytest

from mxfleet.dns.families import Family
from mxfleet.dns.plan import Change
from mxfleet.dns.providers.cloudflare import connect
from mxfleet.dns.providers.protocol import Provider
from mxfleet.dns.providers.rfc2136 import Rfc2136Provider
from mxfleet.dns.providers.transport import Server
from mxfleet.dns.providers.zonefile import ZoneFileProvider
from mxfleet.dns.records import Record, address, mx, txt
from mxfleet.errors import DnsError, PlanStale
from tests.cloudflare_double import server as cloudflare_double
from tests.cloudflare_double.account import Account
from tests.cloudflare_double.server import Double
from tests.contract import cloudflare_itself, nameservers
from tests.contract.nameservers import Nameserver, zone_text

ZONE = "corp.test"
FOREIGN = '@ TXT "verification=a; b" "c"'
KEY = "r20261124-7f3c9a._domainkey.corp.test"
LONG = b"v=DKIM1; k=rsa; p=" + b"A" * 400 + b'"\\\x00\xff;'
NAMES = {ZONE, KEY, "mx.corp.test", "submit.corp.test"}


SERVERS = ["knot", "knot without transfers", "bind", "bind without transfers", "powerdns"]
TEXT = zone_text(ZONE, FOREIGN, "@ MX 5 old", "old A 10.0.0.2", "mx A 10.0.0.1")


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Nameserver]:
    kind, _, limited = request.param.partition(" ")
    with nameservers.running(kind, tmp_path, {ZONE: TEXT}, transfers=not limited) as running:
        yield running


ITSELF = ["cloudflare itself"] if cloudflare_itself.given(os.environ) else []


@pytest.fixture(params=[*SERVERS, "zonefile", "cloudflare", "cloudflare below a label", *ITSELF])
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Provider]:
    kind, _, limited = request.param.partition(" ")
    if request.param == "cloudflare itself":
        token, zone = os.environ[cloudflare_itself.TOKEN], os.environ[cloudflare_itself.ZONE]
        with cloudflare_itself.below(connect(token), zone, ZONE, TEXT) as provider:
            yield provider
        return
    if request.param == "cloudflare below a label":
        with below_a_label() as provider:
            yield provider
        return
    if kind == "zonefile":
        (tmp_path / "corp.test.zone").write_text(TEXT)
        yield ZoneFileProvider(tmp_path / "corp.test.zone")
        return
    if kind == "cloudflare":
        with cloudflare_double.running(double_with(TEXT)) as double:
            yield connect(double.account.token, address=double.address)
        return
    with nameservers.running(kind, tmp_path, {ZONE: TEXT}, transfers=not limited) as running:
        yield Rfc2136Provider(Server("127.0.0.1", running.port, running.key))


@contextmanager
def below_a_label() -> Iterator[Provider]:
    """What runs on the real Cloudflare where that is given, on the double; nothing else of the zone may change."""
    account = Account()
    account.add("else.example")
    account.put("else.example", name="old.else.example", type="A", content="10.0.0.9")
    with cloudflare_double.running(Double(account, time.monotonic)) as double:
        api = connect(account.token, address=double.address)
        with cloudflare_itself.below(api, "else.example", ZONE, TEXT) as provider:
            yield provider
    [zone] = account.zones.values()
    assert [(record["name"], record["content"]) for record in zone.records.values()] == [
        ("old.else.example", "10.0.0.9")
    ]


@pytest.mark.parametrize("name", [cloudflare_itself.TOKEN, cloudflare_itself.ZONE])
def test_the_real_cloudflare_is_asked_only_with_a_token_and_a_zone(name: str) -> None:
    assert not cloudflare_itself.given({})
    assert cloudflare_itself.given({cloudflare_itself.TOKEN: "x", cloudflare_itself.ZONE: "else.example"})
    with pytest.raises(ValueError, match=f"{name} is set alone"):
        cloudflare_itself.given({name: "x"})


def double_with(text: str) -> Double:
    """The double with the zone of this zone file, as if it had always been there."""
    account = Account()
    account.add(ZONE)
    for body in cloudflare_itself.bodies(ZONE, text):
        if body["type"] != "SOA":
            account.put(ZONE, **body)
    return Double(account, time.monotonic)


def values(provider: Provider, name: str, kind: str) -> list[str]:
    return sorted(record.value for record in provider.read(ZONE, NAMES).rrset(name, kind))


def come(record: Record) -> Change:
    return Change(None, record, Family.DKIM, "test")


def go(record: Record) -> Change:
    return Change(record, None, Family.DKIM, "test")


def test_reads_what_is_there_with_text_joined_and_the_original_kept(provider: Provider) -> None:
    snapshot = provider.read(ZONE, NAMES)
    [record] = snapshot.rrset(ZONE, "TXT")
    assert record.value == '"verification=a; bc"'
    assert record.raw == '"verification=a; b" "c"'
    assert record.octets == b"verification=a; bc"
    assert snapshot.rrset(ZONE, "MX")[0].value == "5 old.corp.test."
    if provider.capabilities.compare_and_swap:
        assert snapshot.serial == 1


def test_text_of_any_octets_and_length_comes_back_as_it_was(provider: Provider) -> None:
    record = txt(KEY, 60, LONG)
    provider.apply(ZONE, [come(record)], provider.read(ZONE, NAMES))
    [found] = provider.read(ZONE, NAMES).rrset(KEY, "TXT")
    assert found == record
    assert found.octets == LONG


def test_a_foreign_value_beside_ours_survives_coming_and_going(provider: Provider) -> None:
    ours = txt(ZONE, 300, b"v=spf1 -all")
    provider.apply(ZONE, [come(ours)], provider.read(ZONE, NAMES))
    assert values(provider, ZONE, "TXT") == ['"v=spf1 -all"', '"verification=a; bc"']
    provider.apply(ZONE, [go(ours)], provider.read(ZONE, NAMES))
    assert values(provider, ZONE, "TXT") == ['"verification=a; bc"']


def test_a_value_in_other_chunks_than_ours_can_be_removed(provider: Provider) -> None:
    [record] = provider.read(ZONE, NAMES).rrset(ZONE, "TXT")
    provider.apply(ZONE, [go(record)], provider.read(ZONE, NAMES))
    assert values(provider, ZONE, "TXT") == []


def test_one_value_replaces_another(provider: Provider) -> None:
    snapshot = provider.read(ZONE, NAMES)
    [old] = snapshot.rrset(ZONE, "MX")
    provider.apply(ZONE, [Change(old, mx(ZONE, 300, 10, "mx.corp.test"), Family.MX, "test")], snapshot)
    assert values(provider, ZONE, "MX") == ["10 mx.corp.test."]


def test_the_null_mx_can_be_published(provider: Provider) -> None:
    snapshot = provider.read(ZONE, NAMES)
    [old] = snapshot.rrset(ZONE, "MX")
    provider.apply(ZONE, [Change(old, mx(ZONE, 300, 0, ""), Family.MX, "test")], snapshot)
    assert values(provider, ZONE, "MX") == ["0 ."]


def test_an_address_can_take_the_place_of_an_alias(provider: Provider) -> None:
    alias = Record("submit.corp.test", "CNAME", "old.corp.test.", 300)
    own = address("submit.corp.test", 60, IPv4Address("10.77.0.10"))
    provider.apply(ZONE, [come(alias)], provider.read(ZONE, NAMES))
    provider.apply(ZONE, [come(own), go(alias)], provider.read(ZONE, NAMES))
    assert values(provider, "submit.corp.test", "A") == ["10.77.0.10"]
    assert values(provider, "submit.corp.test", "CNAME") == []


def test_a_new_ttl_holds_for_all_values_of_the_name(provider: Provider) -> None:
    provider.apply(ZONE, [come(mx(ZONE, 300, 10, "mx.corp.test"))], provider.read(ZONE, NAMES))
    snapshot = provider.read(ZONE, NAMES)
    retimed = [
        Change(record, dataclasses.replace(record, ttl=60), Family.MX, "its TTL")
        for record in snapshot.rrset(ZONE, "MX")
    ]
    provider.apply(ZONE, retimed, snapshot)
    after = provider.read(ZONE, NAMES).rrset(ZONE, "MX")
    assert sorted((record.value, record.ttl) for record in after) == [
        ("10 mx.corp.test.", 60),
        ("5 old.corp.test.", 60),
    ]


def test_a_change_by_somebody_else_in_between_refuses_the_whole_plan(provider: Provider) -> None:
    before = provider.read(ZONE, NAMES)
    [mine] = before.rrset(ZONE, "TXT")
    provider.apply(ZONE, [go(mine)], before)
    if provider.capabilities.compare_and_swap:
        provider.apply(ZONE, [come(txt(ZONE, 300, b"somebody else"))], provider.read(ZONE, NAMES))
    with pytest.raises(PlanStale):
        provider.apply(ZONE, [come(txt(KEY, 60, LONG)), go(mine)], before)
    assert values(provider, KEY, "TXT") == []  # not even the part that would have fitted


def test_a_second_apply_of_one_plan_is_refused_and_not_doubled(provider: Provider) -> None:
    before = provider.read(ZONE, NAMES)
    provider.apply(ZONE, [come(txt(KEY, 60, LONG))], before)
    refused = pytest.raises(PlanStale) if provider.capabilities.compare_and_swap else nullcontext()
    with refused:
        provider.apply(ZONE, [come(txt(KEY, 60, LONG))], before)
    assert len(values(provider, KEY, "TXT")) == 1


def test_a_wrong_secret_is_named(server: Nameserver) -> None:
    wrong = Rfc2136Provider(
        Server("127.0.0.1", server.port, dns.tsig.Key("mxfleet.", b"wrong", "hmac-sha256"))
    )
    with pytest.raises(DnsError, match=r"(different secrets|has another secret) for"):
        wrong.read(ZONE, NAMES)


def test_an_unknown_key_is_named(server: Nameserver) -> None:
    wrong = Rfc2136Provider(Server("127.0.0.1", server.port, dns.tsig.Key("other.", b"wrong", "hmac-sha256")))
    with pytest.raises(DnsError, match=r"does not know the key other\."):
        wrong.read(ZONE, NAMES)


def test_a_zone_that_the_server_does_not_have_is_named(server: Nameserver) -> None:
    provider = Rfc2136Provider(Server("127.0.0.1", server.port, server.key))
    with pytest.raises(DnsError, match=r"refused the reading of zone else\.test: (REFUSED|NOTAUTH)"):
        provider.read("else.test", {"else.test"})
    snapshot = dataclasses.replace(provider.read(ZONE, NAMES), zone="else.test", records=())
    with pytest.raises(DnsError, match=r"refused the update of zone else\.test: NOTAUTH, it is not primary"):
        provider.apply("else.test", [come(txt("a.else.test", 60, b"x"))], snapshot)


def test_a_name_outside_of_the_zone_is_refused(provider: Provider) -> None:
    with pytest.raises(DnsError, match="NOTZONE, a name lies outside of the zone"):
        provider.apply(ZONE, [come(txt("a.else.test", 60, b"x"))], provider.read(ZONE, NAMES))


def test_a_server_that_is_not_there_is_named() -> None:
    port = nameservers.free_port()
    nobody = Rfc2136Provider(Server("127.0.0.1", port, dns.tsig.Key("mxfleet.", b"x", "hmac-sha256")))
    with pytest.raises(DnsError, match=rf"127\.0\.0\.1 port {port} cannot be reached"):
        nobody.read(ZONE, NAMES)


def test_nothing_to_change_is_no_message_at_all() -> None:
    nobody = Rfc2136Provider(Server("192.0.2.1", 1, dns.tsig.Key("mxfleet.", b"x", "hmac-sha256")))
    nobody.apply(ZONE, [], None)  # type: ignore[arg-type]
