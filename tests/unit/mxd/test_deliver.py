"""One attempt against hosts that behave, misbehave, or are not there."""

import socket
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from mxfleet.mail.reply import Reply
from mxfleet.mxd import accounts, outbound, settings
from mxfleet.mxd.configuration import Configuration
from mxfleet.mxd.counters import Shared
from mxfleet.mxd.deliver import Deliverer
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.dialogue import Attempt
from mxfleet.mxd.directory import Directory
from mxfleet.mxd.observe import logger
from mxfleet.mxd.route import DNS_TROUBLE, NO_DOMAIN, Router, Unroutable
from mxfleet.mxd.security import Security
from mxfleet.mxd.spool.protocol import Envelope, Lease, Recipient, StoredMessage
from mxfleet.mxd.tls import Certificates


class FakeDns:
    """Names to addresses; a Reply instead of them is what the DNS refuses with."""

    def __init__(self, mx: Sequence[str], **addresses: list[str] | Reply) -> None:
        self._mx = mx
        self._addresses = {name.replace("_", "."): found for name, found in addresses.items()}

    async def mx(self, domain: str) -> Sequence[tuple[int, str]]:
        return [(10 * n, host) for n, host in enumerate(self._mx)]

    async def addresses(self, host: str) -> Sequence[str]:
        found = self._addresses.get(host, [])
        if isinstance(found, Reply):
            raise Unroutable(found)
        return found


class Chunks:
    async def chunk(self, message: int, number: int) -> bytes:
        return b"chunk %d\r\n" % number


Make = Callable[..., Deliverer]


@pytest.fixture
async def deliverer() -> AsyncIterator[Make]:
    made: list[Deliverer] = []

    def make(dns: FakeDns, port: int, **node: Any) -> Deliverer:
        made.append(build(dns, port, **node))
        return made[-1]

    yield make
    for each in made:
        await each.close()


def build(dns: FakeDns, port: int, *, security: Security | None = None, **node: Any) -> Deliverer:
    made = settings.Settings(
        node=settings.NodeSettings(
            name="mx1", hostname="mx1.corp.test", release="", address4=node.get("address4", "127.0.0.1"),
            address6=node.get("address6", ""),
        ),
        service=settings.ServiceSettings(hostname="mx.corp.test"),
        domain=routed(int(node.get("lmtp_port", "0"))),
        delivery=settings.DeliverySettings(port=port, connect_timeout=0.5),
    )  # fmt: skip
    configuration = Configuration(
        settings=made,
        directory=Directory.of(made),
        accounts=accounts.Directory(settings.Accounts()),
        certificates=Certificates([]),
        keys={},
        passwords={},
        digest="",
    )
    desk = Desk(configuration, Chunks(), 0, Shared(1).row(0), logger("test"))  # type: ignore[arg-type]
    return Deliverer(desk, Router(made, dns, {}), security or Security(made.sending, (), None))


def routed(port: int) -> tuple[settings.DomainSettings, ...]:
    route = settings.RouteSettings(kind="lmtp", host="127.0.0.1", port=port)
    return (settings.DomainSettings(name="peer.test", recipients=(), route=route),) if port else ()


def lease(*recipients: str, chunks: int = 1, **said: Any) -> Lease:
    sender = said.pop("sender", "alice@corp.test")
    envelope = Envelope(trace="t1", sender=sender, received=0.0, expires=9e9, size=30, **said)
    message = StoredMessage(1, envelope, b"Received: x\r\n", b"Subject: hello\r\n\r\nbody\r\n", chunks)
    members = tuple(Recipient(n, address) for n, address in enumerate(recipients or ("u@peer.test",)))
    return Lease(1, 1, 9e9, "peer.test", 0, message, members)


def said(attempt: Attempt) -> list[tuple[str, str]]:
    return [(answer.status, str(answer.reply)) for answer in attempt.answers]


@pytest.fixture
def dead_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        return int(probe.getsockname()[1])


async def test_each_recipient_has_its_own_answer(deliverer: Make, make_sink: Callable[..., Any]) -> None:
    sink = make_sink(lmtp=False)
    sink.replies |= {"RCPT TO:<v@peer.test>": "550 5.1.1 who?", "RCPT TO:<w@peer.test>": "452 4.2.2 full"}
    here = deliverer(FakeDns(["mx.test"], mx_test=["127.0.0.2"]), sink.port)
    attempt = await here.attempt([lease("u@peer.test", "v@peer.test", "w@peer.test")])
    assert said(attempt) == [
        ("delivered", "250 2.0.0 kept"),
        ("failed", "550 5.1.1 who?"),
        ("deferred", "452 4.2.2 full"),
    ]
    assert (attempt.host, attempt.address, attempt.tls) == ("mx.test", "127.0.0.2", "")
    sender, recipients, body = sink.messages[0]
    assert sender.startswith("MAIL FROM:<alice@corp.test>")
    assert recipients == ["RCPT TO:<u@peer.test>"]
    assert body == b"Received: x\r\nSubject: hello\r\n\r\nbody\r\n"


async def test_what_needs_smtputf8_fails_clearly_at_a_host_that_lacks_it(
    deliverer: Make, make_sink: Callable[..., Any]
) -> None:
    sink = make_sink(lmtp=False)
    here = deliverer(FakeDns(["mx.test"], mx_test=["127.0.0.2"]), sink.port)
    attempt = await here.attempt([lease("u@peer.test", sender="дед@corp.test", utf8=True)])
    ((status, reply),) = said(attempt)
    assert (status, reply[:10], "SMTPUTF8" in reply) == ("failed", "550 5.6.7 ", True)
    assert sink.messages == []
    sink.replies["EHLO"] = "250-sink\r\n250-SMTPUTF8\r\n250-DSN\r\n250 8BITMIME"
    again = deliverer(FakeDns(["mx.test"], mx_test=["127.0.0.2"]), sink.port)
    attempt = await again.attempt([lease("u@peer.test", sender="дед@corp.test", utf8=True)])
    assert (said(attempt)[0][0], attempt.reports) == ("delivered", True)


async def test_all_chunks_are_sent_in_order(deliverer: Make, make_sink: Callable[..., Any]) -> None:
    sink = make_sink(lmtp=False)
    here = deliverer(FakeDns(["mx.test"], mx_test=["127.0.0.2"]), sink.port)
    await here.attempt([lease(chunks=4)])
    assert sink.messages[0][2].endswith(b"body\r\nchunk 1\r\nchunk 2\r\nchunk 3\r\n")


async def test_the_next_host_is_asked_where_one_is_not_there(
    deliverer: Make, make_sink: Callable[..., Any]
) -> None:
    sink = make_sink(lmtp=False)
    dns = FakeDns(
        ["gone.test", "ours.test", "six.test", "good.test"],
        gone_test=NO_DOMAIN,
        ours_test=["127.0.0.1"],
        six_test=["::1"],
        good_test=["127.0.0.2"],
    )
    attempt = await deliverer(dns, sink.port).attempt([lease()])
    assert (attempt.host, said(attempt)[0][0]) == ("good.test", "delivered")


async def test_a_host_that_greets_with_a_refusal_decides_nothing(
    deliverer: Make, make_sink: Callable[..., Any]
) -> None:
    sink = make_sink(lmtp=False)
    sink.replies |= {"EHLO": "554 5.7.1 not you", "HELO": "554 5.7.1 not you"}
    here = deliverer(FakeDns(["a.test"], a_test=["127.0.0.2"]), sink.port)
    assert said(await here.attempt([lease()])) == [("deferred", "554 5.7.1 not you")]


async def test_a_permanent_answer_of_the_best_host_is_final(
    deliverer: Make, make_sink: Callable[..., Any]
) -> None:
    sink = make_sink(lmtp=False)
    sink.replies["RCPT"] = "550 5.1.1 who?"
    here = deliverer(FakeDns(["a.test", "b.test"], a_test=["127.0.0.2"], b_test=["127.0.0.2"]), sink.port)
    assert said(await here.attempt([lease()])) == [("failed", "550 5.1.1 who?")]
    assert sink.connections == 1


@pytest.mark.parametrize(
    ("dns", "status", "reply"),
    [
        (FakeDns([]), "failed", "550 5.4.4"),
        (FakeDns(["a.test"], a_test=NO_DOMAIN), "failed", "550 5.1.2"),
        (FakeDns(["a.test"], a_test=DNS_TROUBLE), "deferred", "451 4.4.3"),
        (FakeDns(["a.test", "b.test"], a_test=DNS_TROUBLE, b_test=NO_DOMAIN), "deferred", "451 4.4.3"),
        (FakeDns(["a.test"], a_test=["127.0.0.1"]), "failed", "554 5.4.6"),
        (FakeDns(["a.test"], a_test=["127.0.0.2"]), "deferred", "451 4.4.1 No connection to 127.0.0.2"),
        (FakeDns(["a.test"], a_test=["::1"]), "deferred", "451 4.4.1 This node has no address"),
        (FakeDns(["."]), "failed", "556 5.1.10"),
    ],
)
async def test_without_a_host_the_reason_is_told_and_hope_kept_where_there_is_some(
    deliverer: Make, dns: FakeDns, status: str, reply: str, dead_port: int
) -> None:
    ((found, words),) = said(await deliverer(dns, dead_port).attempt([lease()]))
    assert found == status
    assert words.startswith(reply)


async def test_mail_leaves_from_the_node_s_own_address(
    deliverer: Make, make_sink: Callable[..., Any]
) -> None:
    sink = make_sink(lmtp=False)
    peers: list[str] = []

    def remember(_: object, address: tuple[str, int]) -> bool:
        peers.append(address[0])
        return True

    sink.verify_request = remember
    here = deliverer(FakeDns(["a.test"], a_test=["127.0.0.2"]), sink.port, address4="127.0.0.9")
    await here.attempt([lease()])
    assert peers == ["127.0.0.9"]


async def test_tls_is_used_where_it_is_offered(deliverer: Make, running: Any) -> None:
    here = deliverer(FakeDns(["a.test"], a_test=["127.0.0.1"]), running.ports["smtp"], address4="127.0.0.9")
    attempt = await here.attempt([lease("alice@corp.test")])
    assert (attempt.tls, said(attempt)[0][0]) == ("TLSv1.3", "delivered")


async def test_a_broken_handshake_is_no_reason_to_keep_mail(
    deliverer: Make, make_sink: Callable[..., Any]
) -> None:
    sink = make_sink(lmtp=False)
    sink.replies["EHLO"] = "250-sink\r\n250 STARTTLS"
    sink.replies["STARTTLS"] = "220 go\r\nthis is no TLS at all"
    here = deliverer(FakeDns(["a.test"], a_test=["127.0.0.2"]), sink.port)
    attempt = await here.attempt([lease()])
    assert (attempt.tls, said(attempt)[0][0]) == ("", "delivered")
    assert sink.connections == 2


async def test_a_host_that_falls_silent_is_given_up_in_time(
    deliverer: Make, make_sink: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = make_sink(lmtp=False)
    sink.hang = True
    monkeypatch.setattr(outbound, "COMMAND", 0.2)
    here = deliverer(FakeDns(["a.test"], a_test=["127.0.0.2"]), sink.port)
    assert said(await here.attempt([lease()])) == [("deferred", "421 4.4.2 No answer in time")]


async def test_silence_behind_the_final_dot_is_doubtful(
    deliverer: Make, make_sink: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = make_sink(lmtp=False)
    sink.mute = True
    monkeypatch.setattr(outbound, "PATIENCE", {**outbound.PATIENCE, "message": 0.2})
    here = deliverer(FakeDns(["a.test", "b.test"], a_test=["127.0.0.2"], b_test=["127.0.0.2"]), sink.port)
    attempt = await here.attempt([lease()])
    assert attempt.answers[0].doubtful
    assert attempt.answers[0].status == "deferred"
    assert len(sink.messages) == 1


async def test_lmtp_answers_for_each_recipient_behind_the_dot(
    deliverer: Make, make_sink: Callable[..., Any]
) -> None:
    sink = make_sink(lmtp=True)
    here = deliverer(FakeDns([]), 25, lmtp_port=str(sink.port))
    attempt = await here.attempt([lease("u@peer.test", "v@peer.test")])
    assert [status for status, _ in said(attempt)] == ["delivered", "delivered"]
    assert sink.messages[0][1] == ["RCPT TO:<u@peer.test>", "RCPT TO:<v@peer.test>"]
