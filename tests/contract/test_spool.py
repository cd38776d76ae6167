"""What every spool must do, whichever it is."""

import asyncio
import contextlib
import importlib.util
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from mxfleet.errors import SpoolError
from mxfleet.mxd.spool import schema
from mxfleet.mxd.spool.protocol import (
    CHUNK,
    Changed,
    Envelope,
    Lease,
    Notice,
    Result,
    Selection,
    Spool,
    SpoolFull,
    Staged,
)
from mxfleet.mxd.spool.sqlite import SqliteSpool

WRITER = Path(__file__).with_name("spool_writer.py")
OPENERS: dict[str, Callable[[Path], Spool]] = {"sqlite": SqliteSpool}


def envelope(trace: str = "t1", **changes: object) -> Envelope:
    fields: dict[str, object] = {"trace": trace, "sender": "a@x.test", "received": 100.0, "expires": 900.0}
    return Envelope(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture(params=OPENERS)
async def spool(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Spool]:
    opened = OPENERS[request.param](tmp_path / "spool")
    yield opened
    opened.close()


async def put(spool: Spool, trace: str, *recipients: str, **changes: object) -> None:
    await spool.accept(envelope(trace, **changes), recipients or ("u@one.test",), b"Head: 1\r\n", b"body\r\n")


async def take(spool: Spool, now: float = 200.0, limit: int = 50, **options: object) -> tuple[Lease, ...]:
    return await spool.claim("courier", now, 30.0, limit, **options)  # type: ignore[arg-type]


def all_of(lease: Lease, state: str = "delivered", reply: str = "250 ok") -> list[Result]:
    return [Result(r.number, state, reply) for r in lease.recipients]  # type: ignore[arg-type]


async def test_what_was_accepted_comes_out_as_it_went_in(spool: Spool) -> None:
    await put(spool, "t1", "u@one.test", submitter="a@x.test", utf8=True, size=6)
    (lease,) = await take(spool)
    assert lease.message.envelope == envelope("t1", submitter="a@x.test", utf8=True, size=6)
    assert (lease.message.head, lease.message.first, lease.message.chunks) == (b"Head: 1\r\n", b"body\r\n", 1)
    assert [r.address for r in lease.recipients] == ["u@one.test"]
    assert lease.attempts == 0


async def test_recipients_of_one_domain_are_one_delivery_and_domains_are_apart(spool: Spool) -> None:
    await put(spool, "t1", "u@one.test", "v@two.test", "w@ONE.test")
    leases = {lease.domain: [r.address for r in lease.recipients] for lease in await take(spool)}
    assert leases == {"one.test": ["u@one.test", "w@ONE.test"], "two.test": ["v@two.test"]}


async def test_a_message_without_a_body_is_a_message(spool: Spool) -> None:
    await spool.accept(envelope(), ["u@one.test"], b"Head: 1\r\n", b"")
    (lease,) = await take(spool)
    assert (lease.message.first, lease.message.chunks) == (b"", 0)


async def test_a_large_body_streams_in_chunks_and_is_invisible_until_accepted(spool: Spool) -> None:
    first, second = os.urandom(CHUNK), os.urandom(CHUNK)
    staged: Staged = await spool.stage(None, first)
    staged = await spool.stage(staged, second)
    assert await take(spool) == ()
    assert (await spool.summary(200.0)).messages == 0
    await spool.accept(envelope(), ["u@one.test"], b"", b"rest", staged)
    (lease,) = await take(spool)
    number = lease.message.number
    rest = [await spool.chunk(number, n) for n in range(1, lease.message.chunks)]
    assert [lease.message.first, *rest] == [first, second, b"rest"]


async def test_a_discarded_body_is_gone_and_cannot_be_accepted(spool: Spool) -> None:
    staged = await spool.stage(None, bytes(CHUNK))
    await spool.discard(staged)
    with pytest.raises(SpoolError, match="not in the spool any more"):
        await spool.accept(envelope(), ["u@one.test"], b"", b"rest", staged)
    with pytest.raises(SpoolError):
        await spool.chunk(staged.message, 0)


async def test_bodies_of_dead_sessions_are_swept_and_accepted_ones_are_not(spool: Spool) -> None:
    await put(spool, "t1")
    staged = await spool.stage(None, bytes(CHUNK))
    assert await spool.sweep(1.0) == 0
    assert await spool.sweep(9e9) == 1
    with pytest.raises(SpoolError):
        await spool.chunk(staged.message, 0)
    assert len(await take(spool)) == 1


async def test_one_refused_message_does_not_take_its_batch_with_it(spool: Spool) -> None:
    staged = await spool.stage(None, bytes(CHUNK))
    await spool.discard(staged)
    bad = spool.accept(envelope("bad"), ["u@one.test"], b"", b"", staged)
    good = [spool.accept(envelope(f"good{n}"), ["u@one.test"], b"", b"x") for n in range(40)]
    await asyncio.gather(*good)
    with pytest.raises(SpoolError):
        await bad
    assert len(await take(spool)) == 40


async def test_a_lease_keeps_others_away_until_it_ends(spool: Spool) -> None:
    await put(spool, "t1")
    (first,) = await take(spool, now=200.0)
    assert await take(spool, now=229.0) == ()
    (second,) = await take(spool, now=231.0)
    assert second.token > first.token


async def test_who_lost_his_lease_cannot_record(spool: Spool) -> None:
    await put(spool, "t1")
    (old,) = await take(spool, now=200.0)
    (new,) = await take(spool, now=231.0)
    assert await spool.record(old, all_of(old), 0.0) is False
    assert await spool.record(new, all_of(new), 0.0) is True
    assert await spool.record(new, all_of(new), 0.0) is False


async def test_a_lease_can_be_prolonged_by_its_holder_only(spool: Spool) -> None:
    await put(spool, "t1")
    (old,) = await take(spool, now=200.0)
    assert await spool.extend([old], 220.0, 30.0) == {old.delivery}
    assert await take(spool, now=240.0) == ()
    (new,) = await take(spool, now=251.0)
    assert await spool.extend([old, new], 260.0, 30.0) == {new.delivery}
    assert await spool.extend([old], 260.0, 30.0) == frozenset()


async def test_what_is_delivered_is_deleted_body_and_all(spool: Spool) -> None:
    await put(spool, "t1", "u@one.test", "v@two.test")
    one, two = await take(spool)
    assert await spool.record(one, all_of(one), 0.0)
    assert (await spool.summary(200.0)).messages == 1
    assert await spool.record(two, all_of(two, "failed", "550 no"), 0.0)
    assert (await spool.summary(200.0)).messages == 0
    with pytest.raises(SpoolError):
        await spool.chunk(one.message.number, 0)


async def test_only_those_who_wait_are_tried_again_and_only_when_due(spool: Spool) -> None:
    await put(spool, "t1", "u@one.test", "v@one.test", "w@one.test")
    (lease,) = await take(spool)
    results = [Result(0, "delivered", "250"), Result(1, "waiting", "451 later"), Result(2, "failed", "550")]
    assert await spool.record(lease, results, 300.0)
    assert await take(spool, now=299.0) == ()
    (again,) = await take(spool, now=300.0)
    assert [(r.number, r.address, r.reply) for r in again.recipients] == [(1, "v@one.test", "451 later")]
    assert again.attempts == 1


async def test_a_notice_is_accepted_with_what_caused_it_or_not_at_all(spool: Spool) -> None:
    await put(spool, "t1")
    (old,) = await take(spool)
    (lease,) = await take(spool, now=231.0)
    bounce = Notice(envelope("bounce", sender=""), ("a@x.test",), b"Head: 2\r\n", b"sorry")
    assert not await spool.record(old, all_of(old, "failed"), 0.0, bounce)
    assert (await spool.summary(231.0)).messages == 1
    assert await spool.record(lease, all_of(lease, "failed"), 0.0, bounce)
    (notice,) = await take(spool, now=231.0)
    assert notice.message.envelope == bounce.envelope


async def test_claim_takes_the_oldest_no_more_than_asked_and_none_to_avoid(spool: Spool) -> None:
    for n in range(5):
        await put(spool, f"t{n}", "u@slow.test" if n < 3 else "u@quick.test", received=100.0 + n)
    assert [x.message.envelope.trace for x in await take(spool, limit=2)] == ["t0", "t1"]
    assert [x.message.envelope.trace for x in await take(spool, avoid={"slow.test"})] == ["t3", "t4"]
    assert [x.message.envelope.trace for x in await take(spool)] == ["t2"]


async def test_claim_gives_no_domain_more_than_its_share(spool: Spool) -> None:
    for n in range(6):
        await put(spool, f"t{n}", "u@giant.test" if n < 5 else "u@small.test", received=100.0 + n)
    assert [x.message.envelope.trace for x in await take(spool, each=2)] == ["t0", "t1", "t5"]


async def test_leases_of_a_dead_owner_can_be_given_up(spool: Spool) -> None:
    await put(spool, "t1")
    (lease,) = await take(spool)
    assert await spool.items(200.0, 10, Selection(owner="somebody else")) == ()
    assert [item.trace for item in await spool.items(200.0, 10, Selection(owner="courier"))] == ["t1"]
    assert await spool.release("somebody else", 201.0) == 0
    assert await spool.release("courier", 201.0) == 1
    assert await spool.record(lease, all_of(lease), 0.0) is False
    assert len(await take(spool, now=201.0)) == 1


async def test_next_due_counts_waiting_and_leased(spool: Spool) -> None:
    assert await spool.next_due() is None
    await put(spool, "t1", "u@one.test", received=150.0)
    assert await spool.next_due() == 150.0
    assert await spool.next_due({"one.test"}) is None
    await take(spool, now=200.0)
    assert await spool.next_due() == 230.0


async def test_next_due_finds_what_is_behind_the_long_queue_of_a_domain_to_avoid(spool: Spool) -> None:
    await asyncio.gather(*(spool.accept(envelope(f"g{n}"), ["u@giant.test"], b"", b"x") for n in range(600)))
    await put(spool, "small", "u@small.test", received=150.0)
    await put(spool, "late", "u@late.test", received=170.0)
    assert await spool.next_due({"giant.test"}) == 150.0
    assert await spool.next_due({"giant.test", "small.test"}) == 170.0
    assert await spool.next_due({"giant.test", "small.test", "late.test"}) is None


async def test_results_that_are_written_together_are_each_as_if_alone(spool: Spool) -> None:
    await put(spool, "t1", "u@one.test", "v@two.test")
    await put(spool, "t2", "u@one.test", "v@one.test")
    await put(spool, "t3", "u@one.test")
    leases = {(lease.message.envelope.trace, lease.domain): lease for lease in await take(spool)}
    one, two = leases["t1", "one.test"], leases["t1", "two.test"]
    some, lost = leases["t2", "one.test"], leases["t3", "one.test"]
    await spool.release("courier", 201.0)
    again = {lease.delivery: lease for lease in await take(spool, now=201.0)}
    bounce = Notice(envelope("bounce"), ("a@x.test",), b"", b"sorry")
    partly = [Result(0, "delivered", "250 ok"), Result(1, "waiting", "451 later")]
    answers = await asyncio.gather(
        spool.record(lost, all_of(lost), 0.0),
        spool.record(again[one.delivery], all_of(one), 0.0),
        spool.record(again[some.delivery], partly, 300.0),
        spool.record(again[some.delivery], all_of(some), 0.0),
        spool.record(again[two.delivery], all_of(two, "failed", "550 no"), 0.0, bounce),
    )
    assert list(answers) == [False, True, True, False, True]
    left = {item.trace: item.recipients for item in await spool.items(400.0, 10)}
    assert left == {"t2": ("v@one.test",), "t3": ("u@one.test",), "bounce": ("a@x.test",)}
    assert [
        lease.attempts for lease in await take(spool, now=400.0) if lease.message.envelope.trace == "t2"
    ] == [1]


async def test_requeue_makes_waiting_mail_due_by_domain_or_trace(spool: Spool) -> None:
    await put(spool, "t1", "u@one.test")
    await put(spool, "t2", "u@two.test")
    for lease in await take(spool):
        await spool.record(lease, all_of(lease, "waiting", "451"), 5000.0)
    assert await spool.requeue(300.0, Selection(domain="one.test")) == Changed(1)
    assert [x.domain for x in await take(spool, now=300.0)] == ["one.test"]
    assert await spool.requeue(300.0, Selection(trace="t2")) == Changed(1)
    assert await spool.requeue(300.0, Selection()) == Changed(0, 1)
    assert [x.domain for x in await take(spool, now=300.0)] == ["two.test"]


async def test_what_is_held_is_not_tried_until_it_is_let_go(spool: Spool) -> None:
    await put(spool, "t1", "u@one.test")
    await put(spool, "t2", "u@two.test")
    assert await spool.hold(Selection(domain="one.test")) == Changed(1)
    assert [x.domain for x in await take(spool)] == ["two.test"]
    assert await spool.requeue(300.0, Selection(domain="one.test")) == Changed(0)
    (item,) = await spool.items(300.0, 10, Selection(held=True))
    assert (item.domain, item.held, item.due) == ("one.test", True, None)
    assert [d.held for d in (await spool.summary(300.0)).domains] == [1, 0]
    assert await spool.let_go(300.0, Selection(trace="t1")) == Changed(1)
    assert {x.domain for x in await take(spool, now=300.0)} == {"one.test", "two.test"}


async def test_what_is_held_while_it_is_tried_is_held_afterwards(spool: Spool) -> None:
    await put(spool, "t1")
    (lease,) = await take(spool)
    assert await spool.hold(Selection()) == Changed(1, 1)
    assert await spool.extend([lease], 220.0, 30.0) == {lease.delivery}
    assert await spool.record(lease, all_of(lease, "waiting", "451"), 300.0)
    assert await take(spool, now=900.0) == ()
    await spool.let_go(900.0, Selection())
    (again,) = await take(spool, now=900.0)
    await spool.hold(Selection())
    assert await spool.release("courier", 901.0) == 1
    assert await take(spool, now=999.0) == ()
    assert again.attempts == 1


async def test_delete_takes_what_was_selected_and_spares_what_is_tried(spool: Spool) -> None:
    await put(spool, "t1", "u@one.test", "v@two.test")
    await put(spool, "t2", "u@one.test", sender="b@x.test")
    await put(spool, "t3", "w@one.test")
    assert await spool.delete(Selection(domain="one.test", sender="b@x.test")) == Changed(1)
    assert await spool.delete(Selection(recipient="V@two.test")) == Changed(1)
    one, three = await take(spool)
    assert await spool.delete(Selection()) == Changed(0, 2)
    assert await spool.record(three, all_of(three, "waiting", "451"), 300.0)
    assert await spool.delete(Selection()) == Changed(1, 1)
    with pytest.raises(SpoolError):
        await spool.chunk(three.message.number, 0)
    assert await spool.record(one, all_of(one), 0.0)
    assert (await spool.summary(300.0)).messages == 0


async def test_reroute_sends_it_elsewhere_at_once_and_back(spool: Spool) -> None:
    await put(spool, "t1")
    (lease,) = await take(spool)
    await spool.record(lease, all_of(lease, "waiting", "451"), 5000.0)
    assert await spool.reroute(300.0, Selection(trace="t1"), "192.0.2.1:25") == Changed(1)
    (lease,) = await take(spool, now=300.0)
    assert lease.hop == "192.0.2.1:25"
    assert await spool.reroute(300.0, Selection(trace="t1"), "") == Changed(1, 1)
    await spool.record(lease, all_of(lease, "waiting", "451"), 301.0)
    assert [x.hop for x in await take(spool, now=301.0)] == [""]


async def test_what_is_re_routed_while_it_is_leased_follows_as_soon_as_the_lease_ends(spool: Spool) -> None:
    for trace in ("t1", "t2", "t3"):
        await put(spool, trace)
    first, second, third = await take(spool)
    assert await spool.reroute(210.0, Selection(trace="t1"), "192.0.2.1:25") == Changed(1, 1)
    assert await spool.reroute(210.0, Selection(trace="t2"), "192.0.2.1:25") == Changed(1, 1)
    await spool.record(first, all_of(first, "waiting", "451"), 5000.0)
    await spool.put_back(second, 5000.0)
    await spool.put_back(third, 5000.0)
    assert [(x.message.envelope.trace, x.hop) for x in await take(spool, now=211.0)] == [
        ("t1", "192.0.2.1:25"),
        ("t2", "192.0.2.1:25"),
    ]


async def test_what_is_re_routed_goes_before_all_others_of_a_domain_to_avoid(spool: Spool) -> None:
    for number in range(30):
        await put(spool, f"t{number}", "u@slow.test")
    await put(spool, "other", "u@other.test")
    await spool.reroute(200.0, Selection(trace="t29"), "192.0.2.1:25")
    found = await take(spool, limit=1, avoid={"slow.test"})
    assert [x.message.envelope.trace for x in found] == ["t29"]
    assert [x.domain for x in await take(spool, avoid={"slow.test"})] == ["other.test"]


async def test_what_is_re_routed_and_deferred_is_found_behind_all_of_a_domain_to_avoid(spool: Spool) -> None:
    await put(spool, "moved")
    await spool.reroute(190.0, Selection(trace="moved"), "192.0.2.1:25")
    (lease,) = await take(spool)
    await spool.record(lease, all_of(lease, "waiting", "451"), 300.0)
    await asyncio.gather(*(spool.accept(envelope(f"g{n}"), ["u@one.test"], b"", b"x") for n in range(600)))
    assert await spool.next_due({"one.test"}) == 300.0
    assert await spool.due(299.0, 10, {"one.test"}) == ()
    (found,) = await spool.due(300.0, 10, {"one.test"})
    assert [x.message.envelope.trace for x in await spool.lease("courier", 300.0, 30.0, [found])] == ["moved"]


async def test_a_hop_to_avoid_hides_nothing_but_what_is_re_routed_to_it(spool: Spool) -> None:
    await asyncio.gather(*(spool.accept(envelope(f"g{n}"), ["u@one.test"], b"", b"x") for n in range(600)))
    await spool.reroute(200.0, Selection(), "192.0.2.1:25")
    assert await spool.next_due({"192.0.2.1:25"}) is None
    assert await spool.due(300.0, 10, {"192.0.2.1:25"}) == ()
    await put(spool, "stays", received=150.0)
    await put(spool, "elsewhere", received=160.0)
    await put(spool, "spared", received=160.0, sender="b@other.test")
    for trace in ("elsewhere", "spared"):
        await spool.reroute(200.0, Selection(trace=trace), "192.0.2.2:25")
    assert await spool.next_due({"192.0.2.1:25", "192.0.2.2:25"}) == 150.0
    assert await spool.next_due({"192.0.2.1:25"}) == 0.0
    found = await spool.due(300.0, 10, {"192.0.2.1:25"}, spare={"other.test"})
    leases = await spool.lease("courier", 300.0, 30.0, found)
    assert {x.message.envelope.trace for x in leases} == {"stays", "elsewhere"}


async def test_a_hop_is_given_no_more_than_a_share_whatever_the_domains(spool: Spool) -> None:
    for number in range(5):
        await put(spool, f"t{number}", f"u@d{number}.test")
    await spool.reroute(200.0, Selection(), "192.0.2.1:25")
    await put(spool, "other", "u@d0.test")
    assert [(x.domain, x.hop) for x in await take(spool, each=2)] == [
        ("d0.test", "192.0.2.1:25"),
        ("d1.test", "192.0.2.1:25"),
        ("d0.test", ""),
    ]


async def test_expire_leaves_one_last_try(spool: Spool) -> None:
    await put(spool, "t1")
    (lease,) = await take(spool)
    assert lease.expires == 900.0
    await spool.record(lease, all_of(lease, "waiting", "451"), 5000.0, warned=True)
    assert await spool.expire(300.0, Selection()) == Changed(1)
    (lease,) = await take(spool, now=300.0)
    assert (lease.expires, lease.warned) == (300.0, True)


async def test_a_lease_can_be_put_back_unused(spool: Spool) -> None:
    await put(spool, "t1")
    (lease,) = await take(spool)
    assert await spool.put_back(lease, 210.0) is True
    assert await spool.put_back(lease, 210.0) is False
    assert [x.attempts for x in await take(spool, now=210.0)] == [0]


async def test_the_long_queue_of_one_domain_or_sender_hides_nobody(spool: Spool) -> None:
    giant = [
        spool.accept(envelope(f"g{n}", sender="a@giant.test"), ["u@slow.test"], b"", b"x") for n in range(400)
    ]
    await asyncio.gather(*giant)
    await put(spool, "small", "u@small.test", received=150.0)
    await put(spool, "other", "v@slow.test", received=150.0, sender="b@other.test")
    found = await spool.due(200.0, 10, each=2)
    assert [x.domain for x in found] == ["slow.test", "slow.test", "small.test"]
    found = await spool.due(200.0, 10, avoid={"slow.test"})
    assert [x.domain for x in found] == ["small.test"]
    found = await spool.due(200.0, 10, spare={"giant.test"})
    assert {x.sender for x in found} == {"x.test", "other.test"}


async def test_summary_and_items_tell_what_waits_and_why(spool: Spool) -> None:
    await put(spool, "t1", "u@one.test", "v@one.test", size=10)
    await put(spool, "t2", "u@two.test", size=5, received=50.0)
    for lease in await take(spool):
        if lease.domain == "one.test":
            await spool.record(lease, all_of(lease, "waiting", "451 4.7.1 greylisted"), 5000.0)
    summary = await spool.summary(210.0)
    assert (summary.messages, summary.deliveries, summary.octets, summary.oldest) == (2, 2, 15, 50.0)
    one, two = summary.domains
    assert (one.domain, one.next_due, one.leased, one.reply) == (
        "one.test",
        5000.0,
        0,
        "451 4.7.1 greylisted",
    )
    assert (two.domain, two.leased, two.oldest) == ("two.test", 1, 50.0)
    (item,) = await spool.items(210.0, 10, Selection(domain="one.test"))
    assert (item.trace, item.recipients, item.attempts) == ("t1", ("u@one.test", "v@one.test"), 1)
    assert [i.trace for i in await spool.items(210.0, 10)] == ["t2", "t1"]


async def test_probe_commits(spool: Spool) -> None:
    await spool.probe(100.0)
    await spool.probe(101.0)


async def test_a_closed_spool_has_committed_everything_and_takes_nothing(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path / "spool")
    pending = [spool.accept(envelope(f"t{n}"), ["u@one.test"], b"", b"x") for n in range(30)]
    spool.close()
    await asyncio.gather(*pending)
    with pytest.raises(SpoolError, match="closed"):
        await spool.accept(envelope("late"), ["u@one.test"], b"", b"x")
    again = SqliteSpool(tmp_path / "spool")
    assert len(await take(again)) == 30
    again.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1500k", "none", str(mount)]
    if subprocess.run(command, check=False).returncode:
        pytest.fail("needs to mount a small tmpfs: run as root")
    yield mount
    subprocess.run(["umount", "--lazy", mount], check=True)


async def fill(spool: Spool, promised: set[str], name: str) -> None:
    for n in range(1000):
        trace = f"{name}-{n}"
        await spool.accept(envelope(trace), ["u@one.test"], b"", os.urandom(5000))
        promised.add(trace)


async def test_a_full_disk_refuses_and_keeps_what_was_promised(small_disk: Path) -> None:
    promised: set[str] = set()
    spool = SqliteSpool(small_disk / "spool")
    for name in ("first", "second"):
        with pytest.raises(SpoolFull):
            await fill(spool, promised, name)
    spool.close()
    again = SqliteSpool(small_disk / "spool")
    found = {item.trace for item in await again.items(200.0, 5000)}
    again.close()
    assert len(promised) > 10
    assert found == promised


def test_a_newer_spool_is_refused_with_its_version_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    schema.create(path)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    with pytest.raises(SpoolError, match=f"schema {schema.VERSION + 1}, this one knows {schema.VERSION}"):
        schema.create(path)
    with pytest.raises(SpoolError, match="written by a newer mxd"):
        schema.connect_reader(path)


VERSION_1 = """
CREATE TABLE message (id INTEGER PRIMARY KEY AUTOINCREMENT, trace TEXT NOT NULL, begun REAL, chunks INTEGER NOT NULL,
  size INTEGER NOT NULL, received REAL NOT NULL, envelope BLOB NOT NULL, head BLOB NOT NULL);
CREATE INDEX message_trace ON message (trace);
CREATE INDEX message_begun ON message (begun) WHERE begun IS NOT NULL;
CREATE TABLE chunk (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE delivery (id INTEGER PRIMARY KEY AUTOINCREMENT, message INTEGER NOT NULL, domain TEXT NOT NULL, due REAL,
  attempts INTEGER NOT NULL, token INTEGER NOT NULL, owner TEXT, reply TEXT NOT NULL);
CREATE INDEX delivery_due ON delivery (due, domain);
CREATE INDEX delivery_message ON delivery (message);
CREATE INDEX delivery_domain ON delivery (domain, due);
CREATE TABLE recipient (delivery INTEGER NOT NULL, number INTEGER NOT NULL, address TEXT NOT NULL, state TEXT NOT NULL,
  reply TEXT NOT NULL, PRIMARY KEY (delivery, number)) WITHOUT ROWID;
CREATE TABLE probe (id INTEGER PRIMARY KEY, time REAL NOT NULL);
INSERT INTO message VALUES (1, 't1', NULL, 1, 6, 100.0,
  CAST('{"trace":"t1","sender":"a@x.test","received":100.0,"expires":900.0}' AS BLOB), CAST('Head: 1' AS BLOB));
INSERT INTO chunk VALUES (65536, CAST('body' AS BLOB));
INSERT INTO delivery VALUES (1, 1, 'one.test', 150.0, 2, 7, NULL, '451 later'), (2, 1, 'two.test', NULL, 0, 0, NULL, '');
INSERT INTO recipient VALUES (1, 0, 'u@one.test', 'waiting', '451 later'), (2, 0, 'u@two.test', 'waiting', '');
PRAGMA user_version = 1;
"""
SHAPE = "SELECT name, sql FROM sqlite_master WHERE type = 'index'"


def make_old(path: Path, version: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1)
        for number in range(1, version):
            connection.executescript(schema.MIGRATIONS[number])
        connection.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize("version", range(1, schema.VERSION))
async def test_a_spool_of_an_older_version_is_brought_up_to_date_with_its_mail(
    tmp_path: Path, version: int
) -> None:
    path = tmp_path / "spool"
    make_old(path, version)
    with pytest.raises(SpoolError, match="written by an older mxd"):
        schema.connect_reader(path)
    spool = SqliteSpool(path)
    (lease,) = await take(spool)
    assert (lease.domain, lease.attempts, lease.token, lease.message.first) == ("one.test", 2, 8, b"body")
    (held,) = await spool.items(200.0, 10, Selection(held=True))
    assert held.domain == "two.test"
    spool.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        migrated = {row[1:4] for row in connection.execute("PRAGMA table_info(delivery)")}
        indexes = set(connection.execute(SHAPE))
    fresh = tmp_path / "fresh"
    schema.create(fresh)
    with contextlib.closing(sqlite3.connect(fresh)) as connection:
        assert {row[1:4] for row in connection.execute("PRAGMA table_info(delivery)")} == migrated
        assert set(connection.execute(SHAPE)) == indexes


@pytest.mark.parametrize("version", range(1, schema.VERSION))
def test_power_that_fails_in_a_migration_leaves_the_old_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    path = tmp_path / "spool"
    make_old(path, version)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        indexes = set(connection.execute(SHAPE))
    last = schema.VERSION - 1
    with monkeypatch.context() as patch:
        patch.setitem(schema.MIGRATIONS, last, schema.MIGRATIONS[last] + "SELECT no_such_function();\n")
        with pytest.raises(SpoolError, match="cannot be prepared"):
            schema.create(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (version,)
        assert set(connection.execute(SHAPE)) == indexes
        assert connection.execute("SELECT count(*) FROM delivery").fetchone() == (2,)
    schema.create(path)


def test_killed_between_any_two_steps_the_spool_is_as_before_or_after_the_operation(tmp_path: Path) -> None:
    program = Path(__file__).with_name("spool_steps.py")
    done = subprocess.run([sys.executable, program, tmp_path], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) > 60


OPENER = "import pathlib, sys; from mxfleet.mxd.spool import schema; sys.stdin.read(); schema.create(pathlib.Path(sys.argv[1]))"


@pytest.mark.parametrize("attempt", range(3))
def test_processes_that_open_a_new_spool_at_the_same_time_all_succeed(tmp_path: Path, attempt: int) -> None:
    command: list[str | Path] = [sys.executable, "-c", OPENER, tmp_path / f"spool{attempt}"]
    with contextlib.ExitStack() as life:
        openers = [
            life.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE))
            for _ in range(8)
        ]
        time.sleep(2)  # all of them wait for the end of their input
        for opener in openers:
            assert opener.stdin
            opener.stdin.close()
        for opener in openers:
            assert opener.stderr
            assert (opener.stderr.read(), opener.wait()) == (b"", 0)


def run_and_kill(path: Path, names: list[str], at_least: int, seconds: float) -> set[str]:
    """Let writers promise some messages and a little more, then kill them; returns what was promised."""
    lives = [subprocess.Popen([sys.executable, WRITER, path, n], stdout=subprocess.PIPE) for n in names]
    promised: set[str] = set()
    for process in lives:
        assert process.stdout
        lines = [process.stdout.readline().decode() for _ in range(at_least)]
        assert all(lines), f"a writer ended by itself: {process.wait()}"
        promised.update(lines)
    time.sleep(seconds)
    for process in lives:
        process.send_signal(signal.SIGKILL)
    for process in lives:
        promised |= {line.decode() + "\n" for line in process.communicate()[0].split(b"\n")[:-1]}
    return {line.rstrip("\n") for line in promised}


@pytest.mark.parametrize("seed", range(6))
async def test_killed_writers_leave_each_promised_message_once_and_whole(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    path, promised = tmp_path / "spool", set()
    for life in range(3):
        names, least, more = [f"w{life}a", f"w{life}b"], chance.randrange(1, 40), chance.random() * 0.05
        promised |= await asyncio.to_thread(run_and_kill, path, names, least, more)
    assert len(promised) > 10
    await check_all_there(path, promised)


async def check_all_there(path: Path, promised: set[str]) -> None:
    spec = importlib.util.spec_from_file_location("spool_writer", WRITER)
    assert spec
    assert spec.loader
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    spool, found = SqliteSpool(path), []
    await spool.sweep(9e9)
    while leases := await take(spool, limit=200):
        for lease in leases:
            message = lease.message
            rest = [await spool.chunk(message.number, n) for n in range(1, message.chunks)]
            assert b"".join([message.first, *rest]) == writer.body(message.envelope.trace)
            found.append((message.envelope.trace, lease.domain))
    spool.close()
    assert len(found) == len(set(found))
    traces = {trace for trace, _ in found}
    assert promised <= traces
    assert len(found) == 2 * len(traces)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
