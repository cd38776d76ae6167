"""Where mail goes: next hops, MX hosts, ourselves."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.errors import ServiceError
from mxfleet.mxd import route
from mxfleet.mxd.route import Hop, Router, Unroutable, order
from mxfleet.mxd.routing_settings import RelaySettings
from mxfleet.mxd.settings import DomainSettings, NodeSettings, RouteSettings, ServiceSettings, Settings

OURS = {"mx1.corp.test", "mx.corp.test"}
LMTP = RouteSettings(kind="lmtp", host="10.77.0.110", port=24)
SMART = RouteSettings(
    kind="smtp", host="relay.test", port=587, require_tls=True, username="u", password_file="/p"
)
BOTH = (
    RouteSettings(kind="smtp", host="second.test", port=25, priority=20),
    RouteSettings(kind="smtp", host="first.test", port=25, priority=10),
    RouteSettings(kind="smtp", host="other.test", port=26, priority=10),
)


class FakeDns:
    def __init__(self, mx: dict[str, list[tuple[int, str]]], addresses: dict[str, list[str]]) -> None:
        self._mx = mx
        self._addresses = addresses

    async def mx(self, domain: str) -> Sequence[tuple[int, str]]:
        return self._mx.get(domain, [])

    async def addresses(self, host: str) -> Sequence[str]:
        return self._addresses.get(host, [])


def router(
    mx: dict[str, list[tuple[int, str]]] | None = None, addresses: dict[str, list[str]] | None = None
) -> Router:
    settings = Settings(
        node=NodeSettings(name="mx1", hostname="mx1.corp.test", release="", address4="10.77.0.11"),
        service=ServiceSettings(hostname="mx.corp.test", peers=("10.77.0.12",)),
        domain=(
            DomainSettings(name="corp.test", recipients=(), route=LMTP),
            DomainSettings(name="shop.test", recipients=(), route=LMTP),
            DomainSettings(name="smart.test", recipients=(), route=SMART, subdomains=True),
            DomainSettings(name="both.test", recipients=(), route=BOTH),
        ),
        relay=(
            RelaySettings(name="partner.test", route=SMART),
            RelaySettings(name="*.partner.test", route=LMTP),
        ),
    )
    return Router(settings, FakeDns(mx or {}, addresses or {}), {"/p": "secret"})


async def test_a_domain_with_a_next_hop_goes_there() -> None:
    assert await router().hops("corp.test") == [Hop("10.77.0.110", 24, "lmtp")]
    (smart,) = await router().hops("smart.test")
    assert (smart.tls, smart.username, smart.password) == ("required", "u", "secret")
    assert "secret" not in repr(smart)


async def test_several_next_hops_come_by_priority_and_equals_share_the_load() -> None:
    here = router()
    seen = {tuple(hop.host for hop in await here.hops("both.test")) for _ in range(60)}
    assert seen == {("first.test", "other.test", "second.test"), ("other.test", "first.test", "second.test")}
    places = [await here.place("both.test") for _ in range(5)]
    assert {place.key for place in places} == {"second.test:25,first.test:25,other.test:26"}


async def test_a_next_hop_that_failed_is_asked_after_the_others() -> None:
    here = router()
    hops = (await here.place("both.test")).hops
    assert here.learn(hops[0], works=False) == 60.0
    assert here.in_order(hops) == [hops[1], hops[2], hops[0]]
    assert here.learn(hops[0], works=True) == 0.0
    assert here.in_order(hops) == list(hops)


async def test_domains_of_others_may_have_a_next_hop_and_wildcards_too() -> None:
    here = router({"partner.test": [(10, "mx.partner.test")]})
    assert [hop.host for hop in await here.hops("partner.test")] == ["relay.test"]
    assert [hop.host for hop in await here.hops("a.b.partner.test")] == ["10.77.0.110"]
    assert [hop.host for hop in await here.hops("deep.smart.test")] == ["relay.test"]
    assert not (await here.place("partner.test")).ours
    assert (await here.place("deep.smart.test")).ours


async def test_others_go_to_their_mx_hosts_or_else_to_the_domain_itself() -> None:
    here = router({"peer.test": [(20, "b.peer.test."), (10, "A.peer.test.")]})
    assert [hop.host for hop in await here.hops("peer.test")] == ["a.peer.test", "b.peer.test"]
    assert [(hop.host, hop.port) for hop in await here.hops("plain.test")] == [("plain.test", 25)]


async def test_address_literals_go_where_they_say() -> None:
    assert [hop.host for hop in await router().hops("[192.0.2.1]")] == ["192.0.2.1"]
    assert [hop.host for hop in await router().hops("[IPv6:2001:db8::1]")] == ["2001:db8::1"]


async def test_own_addresses_are_nobody_else_s() -> None:
    here = router()
    addresses = ["10.77.0.11", "10.77.0.12", "127.0.0.1", "::", "::ffff:10.77.0.11", "192.0.2.1"]
    assert here.foreign(addresses) == ["192.0.2.1"]


async def test_that_a_host_was_given_for_one_domain_says_nothing_of_another() -> None:
    here = router({"peer.test": [(10, "relay.test")]})
    assert [(await here.place("peer.test", hop)).given for hop in ("relay.test:25", "")] == [True, False]
    assert (await here.place("smart.test")).given


async def test_domains_with_one_next_hop_or_one_best_host_share_its_limits() -> None:
    here = router(
        mx={"a.test": [(10, "mx.test."), (20, "b.test.")], "c.test": [(5, "MX.test")], "d.test": []}
    )
    corp, shop = [await here.place(domain) for domain in ("corp.test", "shop.test")]
    assert corp.key == shop.key == "10.77.0.110:24"
    a, c, d = [await here.place(domain) for domain in ("a.test", "c.test", "d.test")]
    assert (a.key, c.key, d.key) == ("mx.test", "mx.test", "d.test")
    assert a.hops != c.hops


async def test_the_operator_s_hop_goes_before_every_route() -> None:
    place = await router().place("corp.test", "[2001:db8::1]:2525")
    assert place.hops == (Hop("2001:db8::1", 2525),)


@pytest.mark.parametrize(
    "text",
    ["mx.test", "mx.test:", "mx.test:x", "mx.test:0", "mx.test:65536", ":25", "a b:25", "2001:db8::1", "٣:٣"],
)
async def test_a_hop_that_is_none_is_refused_and_stops_nobody(text: str) -> None:
    with pytest.raises(ServiceError) as refused:
        route.given(text)
    assert str(refused.value).startswith(f"re-route to {text!r}: not a host and a port")
    place = await router().place("corp.test", text)
    assert (place.hops, place.refusal) == ((), route.NO_HOP)


async def test_a_domain_without_a_way_is_a_place_that_says_why() -> None:
    here = router(mx={"null.test": [(0, ".")]})
    assert (await here.place("null.test")).refusal == route.NULL_MX


@pytest.mark.parametrize(
    ("records", "reply"),
    [
        ([(0, ".")], route.NULL_MX),
        ([(10, "mx.corp.test."), (20, "other.test.")], route.LOOP),
        ([(10, "MX1.corp.test."), (10, "other.test.")], route.LOOP),
    ],
)
def test_null_mx_and_loops_go_nowhere(records: list[tuple[int, str]], reply: object) -> None:
    with pytest.raises(Unroutable) as refused:
        order(records, OURS, random.Random(1))
    assert refused.value.reply == reply


def test_only_hosts_preferred_to_us_are_used() -> None:
    records = [(5, "first.test"), (10, "mx.corp.test"), (10, "beside.test"), (20, "behind.test")]
    assert order(records, OURS, random.Random(1)) == ["first.test"]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abcdef").map(lambda x: f"{x}.test")), min_size=1)
)
def test_every_host_comes_once_and_none_before_a_preferred_one(records: list[tuple[int, str]]) -> None:
    hosts = order(records, set(), random.Random(1))
    best = {host: min(p for p, h in records if h == host) for _, host in records}
    assert sorted(hosts) == sorted(best)
    assert [best[host] for host in hosts] == sorted(best[host] for host in hosts)


def test_equals_share_the_load() -> None:
    chance = random.Random(1)
    first = {order([(10, "a.test"), (10, "b.test")], set(), chance)[0] for _ in range(50)}
    assert first == {"a.test", "b.test"}
