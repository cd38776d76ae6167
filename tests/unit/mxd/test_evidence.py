"""Evidence about a message: how long who is waited for, and for how long a verdict holds."""

import asyncio
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mxfleet.mail.dkim.key import SigningKey
from mxfleet.mail.dkim.sign import Signer
from mxfleet.mail.message import parse_headers, split_message
from mxfleet.mail.questions import Answer, NoData, Question, Response, TempError
from mxfleet.mxd.evidence import ClientEvidence, Gatherer
from mxfleet.mxd.observe import Log
from mxfleet.mxd.receiving_settings import EvidenceSettings
from mxfleet.mxd.resolver import Resolver
from mxfleet.mxd.resolver.wire import Message
from tests.unit.mxd.test_mistakes import MESSAGE, Lines, answer, bench_with
from tests.unit.mxd.test_session import settle

KEY = SigningKey("slow.test", "e1", Ed25519PrivateKey.generate())


def signed(raw: bytes) -> bytes:
    headers, body = split_message(raw)
    signer = Signer([KEY], timestamp=1_795_000_000)
    signer.body(body)
    return signer.sign(parse_headers(headers.raw)) + raw


@pytest.fixture
async def slow_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A DNS that keeps no answer: none for a key, which takes an hour; all others are there in a moment."""
    loop = asyncio.get_running_loop()
    time, late = loop.time, [0.0]

    async def answered(question: Question) -> Any:
        for _ in range(20):
            await asyncio.sleep(0)
        response: Response = NoData()
        if "_domainkey" in question.name:
            late[0] += 3600.0
            response = TempError("no answer in time")
        return SimpleNamespace(response=response)

    def ask(_self: object, question: Question, _patience: float) -> Any:
        return asyncio.ensure_future(answered(question))

    monkeypatch.setattr(loop, "time", lambda: time() + late[0])
    monkeypatch.setattr("mxfleet.mxd.resolver.channel.Channel.ask", ask)
    monkeypatch.setattr("mxfleet.mxd.resolver.cache.Cache.put", lambda *_: None)


@pytest.mark.usefixtures("slow_keys")
async def test_dmarc_has_the_patience_that_a_slow_key_has_used_up() -> None:
    bench = bench_with(Lines())
    await answer(bench, b"EHLO c\r\n")
    await answer(bench, b"MAIL FROM:<carol@peer.test>\r\nRCPT TO:<alice@corp.test>\r\n")
    await settle(lambda: bench.session.engine.expects == "command")
    await answer(bench, b"DATA\r\n")
    said = bench.say(signed(MESSAGE.removesuffix(b".\r\n")) + b".\r\n")
    for _ in range(10_000):  # turns, not time, which leaps here
        if said or bench.transport.written or bench.spool.commits:
            break
        await asyncio.sleep(0)
    assert said + bench.said() == ""
    head = bench.spool.accepted[0][2].decode()
    assert "dkim=temperror" in head
    assert "dmarc=none" in head


@pytest.mark.parametrize(
    ("record", "kept"),
    [("v=spf1 ip4:192.0.2.7 -all", True), ("v=spf1 exists:%{l}.a.test -all", False), ("", False)],
)
async def test_spfs_verdict_holds_for_all_senders_of_a_domain_unless_a_macro_or_trouble_had_a_part_in_it(
    record: str, kept: bool
) -> None:
    resolver = Resolver("127.0.0.1")
    answers: dict[str, Response] = {
        "a.test": Answer((record.encode(),)) if record else TempError("SERVFAIL"),
        "carol.a.test": Answer((ip_address("127.0.0.2"),)),
        "dave.a.test": NoData(),
    }
    for name, response in answers.items():
        resolver._cache.put(Question(name, "TXT" if name == "a.test" else "A"), Message(response, 60))
    gatherer = Gatherer(EvidenceSettings(), resolver, "mx.corp.test", lambda: 0.0, cast("Log", Lines()))
    client = ClientEvidence(gatherer, "192.0.2.7")
    carol, dave = client.sent("carol@a.test"), client.sent("dave@a.test")
    assert (carol is dave) == kept
    assert [client.sent("carol@a.test"), client.sent("dave@a.test")] == [carol, dave]
    for task in client.waiting:
        task.cancel()
    await resolver.close()
