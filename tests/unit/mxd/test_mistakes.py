"""A mistake of ours in a check: the client is answered as if nobody knew for now, and the log says what happened."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from mxfleet.mail.questions import NoData, Question, Response
from mxfleet.mxd import evidence
from mxfleet.mxd.receiving_settings import EvidenceSettings, ListSettings, PolicySettings
from tests.unit.mxd.test_session import SETTINGS, Bench, settle

MESSAGE = b"From: carol@peer.test\r\n\r\nhello\r\n.\r\n"


class Lines:
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def bind(self, **_: object) -> "Lines":
        return self

    def error(self, event: str, **facts: object) -> None:
        self.lines.append((event, facts))

    def info(self, event: str, **facts: object) -> None:
        del event, facts

    warning = info

    def mistakes(self) -> list[dict[str, Any]]:
        return [facts for event, facts in self.lines if event.startswith("mistake")]


class Mistake(RuntimeError):
    """What no check should raise."""


def at_once(*_: object, **__: object) -> Iterator[Question]:
    raise Mistake("at once")
    yield Question("x.test", "A")


def later(*_: object, **__: object) -> Iterator[Question]:
    yield Question("x.test", "A")
    raise Mistake("later")


async def nothing(_question: Question) -> Response:
    await asyncio.sleep(0)
    return NoData()


def broken(*_: object, **__: object) -> object:
    raise Mistake("nothing works")


@pytest.fixture
async def lines() -> Lines:
    return Lines()


def bench_with(lines: Lines, **policy: Any) -> Bench:
    given = msgspec.structs.replace(
        SETTINGS,
        evidence=EvidenceSettings(list=(ListSettings(zone="list.test"),)),
        delivery=msgspec.structs.replace(SETTINGS.delivery, resolver="127.0.0.1:1"),
        policy=PolicySettings(**policy),
    )
    return Bench(given, lines)


@pytest.fixture(autouse=True)
async def no_dns(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    async def answered(question: Question) -> Any:
        return SimpleNamespace(response=await nothing(question))

    def ask(_self: object, question: Question, _patience: float) -> Any:
        return asyncio.ensure_future(answered(question))

    monkeypatch.setattr("mxfleet.mxd.resolver.channel.Channel.ask", ask)
    monkeypatch.setattr("mxfleet.mxd.resolver.cache.Cache.put", lambda *_: None)
    yield
    await asyncio.sleep(0)


async def answer(bench: Bench, *octets: bytes) -> str:
    said = bench.say(*octets)
    await settle(lambda: said or bench.transport.written)
    return said + bench.said()


@pytest.mark.parametrize("mistake", [at_once, later])
async def test_a_mistake_in_a_check_of_the_client_is_a_temporary_error(
    lines: Lines, mistake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "check_iprev", mistake)
    bench = bench_with(lines, iprev="enforce")
    await answer(bench, b"EHLO c\r\n")
    await answer(bench, b"MAIL FROM:<carol@peer.test>\r\n")
    assert (await answer(bench, b"RCPT TO:<alice@corp.test>\r\n")).startswith("451 4.7.25 ")
    (facts,) = lines.mistakes()
    assert facts["client"] == "192.0.2.7"
    assert isinstance(facts["exception"], Mistake)


@pytest.mark.parametrize("mistake", [at_once, later])
async def test_a_list_whose_check_fails_refuses_nobody(
    lines: Lines, mistake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "check_address", mistake)
    bench = bench_with(lines)
    await answer(bench, b"EHLO c\r\n")
    await answer(bench, b"MAIL FROM:<carol@peer.test>\r\n")
    assert (await answer(bench, b"RCPT TO:<alice@corp.test>\r\n")).startswith("250 ")
    assert [facts["list"] for facts in lines.mistakes()] == ["list.test"]


@pytest.mark.parametrize("name", ["check_dmarc", "Verifier", "Chain"])
async def test_a_mistake_in_a_check_of_the_message_defers_it(
    lines: Lines, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, name, later if name == "check_dmarc" else broken)
    bench = bench_with(lines)
    await answer(bench, b"EHLO c\r\n")
    await answer(bench, b"MAIL FROM:<carol@peer.test>\r\nRCPT TO:<alice@corp.test>\r\n")
    await settle(lambda: bench.session.engine.expects == "command")
    await answer(bench, b"DATA\r\n")
    said = await answer(bench, MESSAGE)
    assert said.startswith("451 4.4.3 DMARC: this host could not find out")
    (facts,) = lines.mistakes()
    assert facts["trace"] in said
    assert bench.spool.accepted == []


async def test_where_the_policy_only_marks_such_mail_is_taken(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "check_dmarc", at_once)
    bench = bench_with(lines, temporary="mark")
    await answer(bench, b"EHLO c\r\n")
    await answer(bench, b"MAIL FROM:<carol@peer.test>\r\nRCPT TO:<alice@corp.test>\r\n")
    await settle(lambda: bench.session.engine.expects == "command")
    await answer(bench, b"DATA\r\n")
    bench.say(MESSAGE)
    await settle(lambda: bench.spool.commits)
    assert len(lines.mistakes()) == 1


@pytest.mark.parametrize("waits", [True, False])
async def test_a_mistake_in_the_policy_itself_leaves_no_recipient_without_an_answer(
    lines: Lines, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mxfleet.mxd.policy.client", broken)
    bench = bench_with(lines, iprev="enforce")
    await answer(bench, b"EHLO c\r\n")
    if not waits:
        known = bench.session._known
        await settle(lambda: known is not None and not known.waiting)
    await answer(bench, b"MAIL FROM:<carol@peer.test>\r\n")
    assert (await answer(bench, b"RCPT TO:<alice@corp.test>\r\n")).startswith("451 4.3.0 ")
    assert (await answer(bench, b"NOOP\r\n")).startswith("250 ")
    assert len(lines.mistakes()) == 1


async def test_a_mistake_in_a_login_is_answered(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> None:
        raise Mistake("no memory")

    monkeypatch.setattr("mxfleet.mxd.session.login", fails)
    bench = bench_with(lines)
    config = bench.desk.server_config("submission")
    bench.session.engine.session.config = dataclasses.replace(config, require_tls_for_auth=False)
    await answer(bench, b"EHLO c\r\n")
    assert (await answer(bench, b"AUTH PLAIN AGEAYg==\r\n")).startswith("451 4.3.0 ")
    assert len(lines.mistakes()) == 1
