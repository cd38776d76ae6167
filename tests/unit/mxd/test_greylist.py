"""Greylisting: a pure decision, a store that workers share, and the examination that asks both."""

import asyncio
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.dmarc.check import Dmarc
from mxfleet.mail.evidence import Evidence
from mxfleet.mxd import greylist
from mxfleet.mxd.greylist import Entry, Verdict, decide
from mxfleet.mxd.greylist_store import SWEEP, Greylist
from mxfleet.mxd.receiving_settings import GreylistSettings, PolicySettings
from mxfleet.mxd.rules import Rules
from tests.unit.mxd.test_mistakes import Lines, answer, bench_with
from tests.unit.mxd.test_mistakes import no_dns as no_dns
from tests.unit.mxd.test_session import Bench, settle

SETTINGS = GreylistSettings(delay=300.0, window=7200.0, lifetime=100_000.0)


@pytest.mark.parametrize(
    ("entry", "now", "verdict"),
    [
        (None, 1000.0, Verdict(300.0, Entry(1000.0, 1000.0))),
        (Entry(1000.0, 1000.0), 1100.0, Verdict(200.0, Entry(1000.0, 1100.0))),
        (Entry(1000.0, 1100.0), 1300.0, Verdict(0.0, Entry(1000.0, 1300.0, known=True))),
        (Entry(1000.0, 1100.0), 8200.0, Verdict(0.0, Entry(1000.0, 8200.0, known=True))),
        (Entry(1000.0, 1100.0), 8201.0, Verdict(300.0, Entry(8201.0, 8201.0))),  # came again too late
        (Entry(1000.0, 1300.0, known=True), 101_300.0, Verdict(0.0, Entry(1000.0, 101_300.0, known=True))),
        (Entry(1000.0, 1300.0, known=True), 101_301.0, Verdict(300.0, Entry(101_301.0, 101_301.0))),
        (Entry(1000.0, 1000.0), 900.0, Verdict(300.0, Entry(900.0, 900.0))),  # somebody has set the clock
    ],
)
def test_who_waits_and_who_is_known(entry: Entry | None, now: float, verdict: Verdict) -> None:
    assert decide(entry, now, SETTINGS) == verdict


@given(st.lists(st.floats(1.0, 2000.0), min_size=12, max_size=40))
def test_whoever_comes_again_and_again_gets_through(pauses: list[float]) -> None:
    entry, now, waits = None, 0.0, list[float]()
    for pause in pauses:
        found = decide(entry, now, SETTINGS)
        entry, waits = found.entry, [*waits, found.wait]
        now += pause
    assert all(0 <= wait <= 300 for wait in waits)
    if sum(pauses[:-1]) >= 300:
        assert waits[-1] == 0 or sum(pauses[:-1]) - pauses[-2] < 300


def evidence(address: str = "192.0.2.7", sender: str = "a@Peer.test", dmarc: str = "none") -> Evidence:
    return Evidence(ip_address(address), "c", sender, dmarc=Dmarc(dmarc))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dmarc", "policy", "applies"),
    [
        ("none", {"greylist": "on"}, True),
        ("fail", {"greylist": "on"}, True),
        ("pass", {"greylist": "on"}, False),
        ("none", {}, False),
        ("none", {"greylist": "on", "exempt_networks": ("192.0.2.0/24",)}, False),
    ],
)
def test_whom_it_applies_to(dmarc: str, policy: dict[str, Any], applies: bool) -> None:
    assert greylist.applies(evidence(dmarc=dmarc), Rules.of(PolicySettings(**policy))) is applies


def test_a_sender_is_told_by_network_domain_and_whom_it_writes_to() -> None:
    def key(settings: GreylistSettings = SETTINGS, to: str = "x@corp.test", **known: str) -> bytes:
        (found,) = greylist.keys(evidence(**known), (to,), settings)
        return found

    same = key()
    assert same == key(address="192.0.2.200") == key(sender="other@peer.test") == key(to="y@CORP.test")
    others = {key(address="192.0.3.7"), key(sender="a@other.test"), key(to="x@shop.test"), key(sender="")}
    assert len(others | {same}) == 5
    whole = msgspec.structs.replace(SETTINGS, sender="address")
    assert key(whole) != key(whole, sender="other@peer.test")
    assert key(whole, address="2001:db8::1") == key(whole, address="2001:db8::ffff")
    assert len(greylist.keys(evidence(), ("x@corp.test", "y@corp.test", "x@shop.test"), SETTINGS)) == 2


class Node:
    def __init__(self, path: Path, **settings: Any) -> None:
        self.now, self.lines = 1_000_000.0, Lines()
        given = msgspec.structs.replace(SETTINGS, **settings)
        self.workers = [Greylist(path, given, lambda: self.now, self.lines) for _ in range(2)]  # type: ignore[arg-type]

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


async def test_workers_share_what_is_remembered_and_it_outlives_them(tmp_path: Path) -> None:
    node = Node(tmp_path / "greylist.sqlite")
    one, two = node.workers
    assert await one.wait([b"k"]) == 300.0
    node.now += 100
    assert await two.wait([b"k", b"other"]) == 300.0
    node.now += 200
    assert await two.wait([b"k"]) == 0.0
    node.close()
    again = Node(tmp_path / "greylist.sqlite")
    again.now = node.now + 5000
    assert await again.workers[0].wait([b"k"]) == 0.0
    again.close()


async def test_what_is_remembered_is_bounded_and_who_is_known_stays(tmp_path: Path) -> None:
    node = Node(tmp_path / "greylist.sqlite", most=2000)
    one, _ = node.workers
    await one.wait([b"known"])
    node.now += 300
    assert await one.wait([b"known"]) == 0
    for n in range(0, 3 * SWEEP, 500):
        node.now += 1
        await one.wait([b"%d" % k for k in range(n, n + 500)])
    for n in range(SWEEP):
        await one.wait([b"x%d" % (n % 3)])
    assert one._connection is not None
    assert one._connection.execute("SELECT count(*) FROM entry").fetchone()[0] <= 2000 + SWEEP
    assert await one.wait([b"known"]) == 0
    node.close()


async def test_a_file_that_cannot_be_used_makes_nobody_wait_and_is_told_of_once(tmp_path: Path) -> None:
    node = Node(tmp_path / "missing" / "greylist.sqlite")
    assert [await node.workers[0].wait([b"k"]) for _ in range(3)] == [0.0] * 3
    assert len(node.lines.lines) == 1
    node.close()


async def take(bench: Bench) -> str:
    await answer(bench, b"MAIL FROM:<carol@peer.test>\r\n")
    await answer(bench, b"RCPT TO:<alice@corp.test>\r\n")
    await answer(bench, b"DATA\r\n")
    bench.say(b"From: carol@peer.test\r\n\r\nhello\r\n.\r\n")
    await settle(lambda: bench.spool.commits or bench.transport.written)
    return bench.said()


async def test_a_message_that_nobody_answers_for_comes_again(
    no_dns: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del no_dns
    lines = Lines()
    bench = bench_with(lines, greylist="on")
    store = Node(tmp_path / "greylist.sqlite")
    assert bench.desk.greylist is not None
    monkeypatch.setattr(bench.desk, "greylist", store.workers[0])
    await answer(bench, b"EHLO c\r\n")
    said = await asyncio.wait_for(take(bench), 20)
    assert said.startswith("451 4.7.1 Greylisted: try again in 300 seconds (")
    assert bench.spool.accepted == []
    store.now += 301
    assert await take(bench) == ""
    assert len(bench.spool.accepted) == 1
    store.close()
