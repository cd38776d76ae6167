"""The resolver against a name server that answers whatever a test wants."""

import socketserver
import threading
from collections.abc import AsyncIterator, Iterator

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from mxfleet.mxd.resolver import Resolver, RoutingResolver
from mxfleet.mxd.route import DNS_TROUBLE, NO_DOMAIN, Unroutable

ZONE = {
    ("peer.test.", "MX"): ["10 a.peer.test.", "20 b.peer.test."],
    ("null.test.", "MX"): ["0 ."],
    ("a.peer.test.", "A"): ["192.0.2.1"],
    ("a.peer.test.", "AAAA"): ["2001:db8::1"],
    ("half.test.", "A"): ["192.0.2.2"],
}
BROKEN = {"broken.test.": dns.rcode.SERVFAIL, "gone.test.": dns.rcode.NXDOMAIN}


class Answer(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        octets, channel = self.request
        query = dns.message.from_wire(octets)
        question = query.question[0]
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        answer.set_rcode(BROKEN.get(name, dns.rcode.NOERROR))
        if name == "half.test." and kind == "AAAA":
            answer.set_rcode(dns.rcode.SERVFAIL)
        if records := ZONE.get((name, kind)):
            answer.answer.append(dns.rrset.from_text_list(name, 60, "IN", kind, records))
        channel.sendto(answer.to_wire(), self.client_address)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), Answer) as udp:
        threading.Thread(target=udp.serve_forever, args=(0.02,), daemon=True).start()
        yield f"127.0.0.1:{udp.server_address[1]}"
        udp.shutdown()


@pytest.fixture
async def routing(server: str) -> AsyncIterator[RoutingResolver]:
    resolver = Resolver(server, patience=0.5)
    yield RoutingResolver(resolver)
    await resolver.close()


async def test_mx_records_come_with_their_preference(routing: RoutingResolver) -> None:
    assert sorted(await routing.mx("peer.test")) == [(10, "a.peer.test"), (20, "b.peer.test")]
    assert await routing.mx("null.test") == [(0, "")]


async def test_no_record_is_not_no_answer(routing: RoutingResolver) -> None:
    assert await routing.mx("half.test") == []
    for name, reply in (("gone.test", NO_DOMAIN), ("broken.test", DNS_TROUBLE), ("a..b", NO_DOMAIN)):
        with pytest.raises(Unroutable) as refused:
            await routing.mx(name)
        assert refused.value.reply == reply


async def test_both_families_are_asked_and_one_that_fails_hides_nothing(routing: RoutingResolver) -> None:
    assert await routing.addresses("a.peer.test") == ["2001:db8::1", "192.0.2.1"]
    assert await routing.addresses("half.test") == ["192.0.2.2"]
    with pytest.raises(Unroutable):
        await routing.addresses("broken.test")


async def test_a_server_that_is_not_there_is_trouble_and_soon() -> None:
    resolver = Resolver("127.0.0.1:1", patience=0.3)
    with pytest.raises(Unroutable) as refused:
        await RoutingResolver(resolver).mx("peer.test")
    await resolver.close()
    assert refused.value.reply == DNS_TROUBLE
