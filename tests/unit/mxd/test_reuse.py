"""Several messages on one connection."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from mxfleet.mxd import idle
from tests.unit.mxd.test_deliver import FakeDns, build, lease, said

ANY = Callable[..., Any]


async def test_one_connection_serves_several_messages_and_ends_with_quit(make_sink: ANY) -> None:
    sink = make_sink(lmtp=False)
    here = build(FakeDns(["mx.test"], mx_test=["127.0.0.2"]), sink.port)
    for _ in range(3):
        assert said(await here.attempt([lease()])) == [("delivered", "250 2.0.0 kept")]
    await here.close()
    assert (sink.connections, len(sink.messages)) == (1, 3)


async def test_a_refused_message_is_no_reason_to_hang_up(make_sink: ANY) -> None:
    sink = make_sink(lmtp=False)
    sink.replies["RCPT TO:<no@peer.test>"] = "550 5.1.1 who?"
    here = build(FakeDns(["mx.test"], mx_test=["127.0.0.2"]), sink.port)
    assert said(await here.attempt([lease("no@peer.test")])) == [("failed", "550 5.1.1 who?")]
    assert said(await here.attempt([lease()])) == [("delivered", "250 2.0.0 kept")]
    await here.close()
    assert sink.connections == 1


async def test_a_kept_connection_that_has_ended_costs_nothing(make_sink: ANY) -> None:
    sink = make_sink(lmtp=False)
    here = build(FakeDns(["mx.test"], mx_test=["127.0.0.2"]), sink.port)
    await here.attempt([lease()])
    sink.replies["MAIL FROM:<alice@corp.test>"] = "421 4.4.2 idle for too long"
    attempt = await here.attempt([lease()])
    await here.close()
    assert sink.connections == 2
    assert said(attempt) == [("deferred", "421 4.4.2 idle for too long")]


async def test_deliveries_of_one_message_share_one_data_and_have_their_own_answers(make_sink: ANY) -> None:
    sink = make_sink(lmtp=False)
    sink.replies["RCPT TO:<v@peer.test>"] = "450 4.2.1 later"
    here = build(FakeDns(["mx.test"], mx_test=["127.0.0.2"]), sink.port)
    attempt = await here.attempt([lease("u@peer.test"), lease("v@peer.test", "w@peer.test")])
    await here.close()
    assert [answer.status for answer in attempt.answers] == ["delivered", "deferred", "delivered"]
    assert [recipients for _, recipients, _ in sink.messages] == [
        ["RCPT TO:<u@peer.test>", "RCPT TO:<w@peer.test>"]
    ]


class Kept:
    """As much of a connection as its keeper touches."""

    def __init__(self) -> None:
        self.engine = SimpleNamespace(closed=False)
        self.ended = asyncio.Event()

    async def close(self) -> None:
        self.ended.set()


async def test_who_is_not_taken_in_time_is_said_good_bye_to_and_who_is_used_up_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(idle, "IDLE", 0.02)
    keeper: Any = idle.IdleConnections()
    key, other, kept = "one", "two", [Kept() for _ in range(4)]
    keeper.put(key, kept[0])
    keeper.put(other, kept[1])
    async with asyncio.timeout(10):
        await kept[0].ended.wait()
        await kept[1].ended.wait()
    keeper.put(key, kept[2])  # once more, after all were gone
    assert keeper.take(key) is kept[2]
    assert (keeper.take(key), keeper.take(other)) == (None, None)
    for _ in range(idle.REUSE):
        keeper.put(key, kept[2])
        keeper.take(key)
    async with asyncio.timeout(10):
        await kept[2].ended.wait()
    keeper.put(key, kept[3])
    await keeper.close()
    assert kept[3].ended.is_set()
