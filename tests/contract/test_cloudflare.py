"""The Cloudflare provider against the double: lost answers, limits on a virtual clock, marks, and what it must leave alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

import pytest

from mxfleet.dns.families import Family
from mxfleet.dns.plan import Change
from mxfleet.dns.providers.cloudflare import CloudflareProvider, connect
from mxfleet.dns.providers.limiter import Limiter
from mxfleet.dns.records import Record, address, caa, mx, tlsa, txt
from mxfleet.errors import DnsError
from tests.cloudflare_double.account import Account
from tests.cloudflare_double.rules import RULES
from tests.cloudflare_double.server import LIMIT, Double, running

ZONE = "corp.test"


@dataclass
class Clock:
    """One clock for both sides; sleeping is what makes it go."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def double(clock: Clock) -> Iterator[Double]:
    account = Account()
    account.add(ZONE)
    with running(Double(account, clock)) as made:
        yield made


@pytest.fixture
def provider(double: Double, clock: Clock) -> CloudflareProvider:
    return connect(
        double.account.token, mark="mxfleet lab", address=double.address, clock=clock, sleep=clock.sleep
    )


def come(record: Record) -> Change:
    return Change(None, record, Family.DKIM, "because")


def many(count: int) -> list[Change]:
    return [come(txt(f"n{number}.{ZONE}", 300, b"x")) for number in range(count)]


def held(double: Double) -> list[dict[str, object]]:
    [zone] = double.account.zones.values()
    return list(zone.records.values())


def apply(provider: CloudflareProvider, *changes: Change) -> None:
    provider.apply(ZONE, changes, provider.read(ZONE, ()))


def test_reading_a_zone_is_one_request_and_changing_it_one_more(
    provider: CloudflareProvider, double: Double
) -> None:
    apply(provider, *many(12))
    assert [line.split("/")[-1] for line in double.requests] == ["zones", "dns_records", "batch"]
    double.requests.clear()
    provider.read(ZONE, ())
    assert len(double.requests) == 1


def test_more_than_a_batch_holds_goes_in_several(provider: CloudflareProvider, double: Double) -> None:
    apply(provider, *many(450))
    assert sum(line.endswith("batch") for line in double.requests) == 3
    assert len(held(double)) == 450


@pytest.mark.parametrize("faults", [["lost answer"], ["500 before"], ["500 before", "lost answer"]])
def test_a_request_whose_fate_is_unknown_is_completed_and_never_doubled(
    provider: CloudflareProvider, double: Double, faults: list[str]
) -> None:
    double.faults.extend(faults)
    apply(provider, *many(5), come(mx(ZONE, 300, 10, "mx.corp.test")))
    assert len(held(double)) == 6


def test_an_update_whose_answer_was_lost_is_not_repeated(
    provider: CloudflareProvider, double: Double
) -> None:
    old = txt(ZONE, 300, b"v=spf1 -all")
    apply(provider, come(old))
    double.faults.append("lost answer")
    apply(provider, Change(old, txt(ZONE, 300, b"v=spf1 ~all"), Family.SPF, "new"))
    assert [record["content"] for record in held(double)] == ['"v=spf1 ~all"']


def test_a_service_that_stays_broken_is_given_up_with_a_sentence(
    provider: CloudflareProvider, double: Double
) -> None:
    double.faults.extend(["500 before"] * 9)
    with pytest.raises(DnsError, match=r"did not say in 4 attempts whether it changed zone corp\.test"):
        apply(provider, *many(1))
    double.read_faults.extend(["500 before"] * 9)
    with pytest.raises(DnsError, match=r"failed 4 times during the reading of zone corp\.test"):
        provider.read(ZONE, ())


def test_a_page_that_comes_too_late_is_asked_for_again_and_a_late_answer_doubles_nothing(
    provider: CloudflareProvider, double: Double
) -> None:
    provider.client = provider.client.with_options(timeout=0.25)
    double.slowness = 1.0
    double.read_faults.append("slow page")
    provider.read(ZONE, ())
    double.faults.append("slow page")
    apply(provider, *many(5))
    assert len(held(double)) == 5


def test_a_storm_of_429_is_waited_out_as_long_as_it_says(
    provider: CloudflareProvider, double: Double, clock: Clock
) -> None:
    double.read_faults.extend(["429", "429"])
    begun = clock.now
    provider.read(ZONE, ())
    assert 30 <= clock.now - begun <= 70
    assert len(held(double)) == 0


def test_the_limiter_never_meets_the_limit(
    provider: CloudflareProvider, double: Double, clock: Clock
) -> None:
    begun = clock.now
    for _ in range(2 * LIMIT):
        provider.read(ZONE, ())
    assert 300 <= clock.now - begun <= 900
    assert len(double.requests) == 2 * LIMIT + 1  # each was answered: not one 429


def test_without_a_limiter_the_double_would_refuse(double: Double, clock: Clock) -> None:
    eager = connect(double.account.token, address=double.address, clock=clock, sleep=clock.sleep)
    eager.limiter = Limiter(clock, clock.sleep, requests=10**9)
    begun = clock.now
    for _ in range(LIMIT + 10):
        eager.read(ZONE, ())
    assert clock.now - begun >= 300  # told to wait for the whole window


def test_what_we_write_bears_our_mark_and_is_known_by_it(
    provider: CloudflareProvider, double: Double
) -> None:
    double.account.put(ZONE, name=ZONE, type="TXT", content="verification=1")
    apply(provider, come(txt(ZONE, 300, b"v=spf1 -all")))
    assert {record["comment"] for record in held(double)} == {None, "mxfleet lab: because"}
    snapshot = provider.read(ZONE, ())
    assert snapshot.marked == {(ZONE, "TXT", '"v=spf1 -all"')}
    assert len(snapshot.rrset(ZONE, "TXT")) == 2


def test_unquoted_text_and_every_type_of_ours_come_back_as_records(
    provider: CloudflareProvider, double: Double
) -> None:
    double.account.put(ZONE, name=ZONE, type="TXT", content='a "b"; c')
    ours = [
        mx(ZONE, 300, 0, ""), tlsa("mx.corp.test", 25, 300, "ab" * 32), caa("mx.corp.test", 300, "issue", "a.test; x=1"),
        address("mx.corp.test", 300, IPv4Address("10.77.0.10")), txt("k.corp.test", 300, b"A" * 410 + b'"\\;'),
    ]  # fmt: skip
    apply(provider, *(come(record) for record in ours))
    snapshot = provider.read(ZONE, ())
    assert set(ours) <= set(snapshot.records)
    assert snapshot.rrset(ZONE, "TXT")[0].octets == b'a "b"; c'


def test_a_proxied_host_counts_as_missing_and_is_made_plain(
    provider: CloudflareProvider, double: Double
) -> None:
    double.account.put(ZONE, name="mx.corp.test", type="A", content="10.77.0.10", proxied=True)
    assert provider.read(ZONE, ()).rrset("mx.corp.test", "A") == ()
    apply(provider, come(address("mx.corp.test", 300, IPv4Address("10.77.0.10"))))
    [record] = held(double)
    assert record["proxied"] is False


def test_what_cloudflare_keeps_itself_is_refused_by_name(
    provider: CloudflareProvider, double: Double
) -> None:
    double.account.put(
        ZONE, name=ZONE, type="MX", content="route1.mx.test", priority=5, meta={"read_only": True}
    )
    [theirs] = provider.read(ZONE, ()).rrset(ZONE, "MX")
    with pytest.raises(DnsError, match=r"is kept by Cloudflare itself \(Email Routing\) — switch that off"):
        apply(provider, Change(theirs, None, Family.MX, "no longer wanted"))


def test_a_token_that_may_not_see_the_zone_and_one_that_is_none(double: Double, clock: Clock) -> None:
    [zone] = double.account.zones.values()
    wrong = connect("another secret", address=double.address, clock=clock, sleep=clock.sleep)
    with pytest.raises(DnsError, match=r"the token is not valid or may not do this") as caught:
        wrong.read(ZONE, ())
    assert "another secret" not in str(caught.value) + repr(wrong)
    zone.hidden = True
    right = connect(double.account.token, address=double.address, clock=clock, sleep=clock.sleep)
    with pytest.raises(DnsError, match=r"Cloudflare's token has no access to a zone corp\.test"):
        right.read(ZONE, ())


def test_a_body_that_the_sdks_types_refuse_is_refused(provider: CloudflareProvider, double: Double) -> None:
    short = replace(txt(ZONE, 300, b"x"), ttl=5)
    with pytest.raises(DnsError, match="9021 Invalid TTL"):
        apply(provider, come(short))
    assert held(double) == []  # all of a batch or nothing


def test_each_rule_of_the_double_says_how_it_is_known() -> None:
    assert all(source.split(":")[0] in ("documented", "observed", "assumed") for _, _, source in RULES)
    assert len({name for name, _, _ in RULES}) == len(RULES)
