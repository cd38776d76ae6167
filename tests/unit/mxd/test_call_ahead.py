"""Call-ahead: what an answer means, how long it holds, and what happens where nobody answers."""

import asyncio
import time
from typing import Any

import msgspec
import pytest

from mxfleet.mail.address import Mailbox, parse_mailbox
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.client import Client, ClientConfig
from mxfleet.mail.smtp.client_events import Outcome, Ready
from mxfleet.mail.smtp.delivery import RecipientResult, Transaction
from mxfleet.mxd.call_ahead import AT_ONCE, DOWN, NOT_NOW, Answer, CallAhead, read
from mxfleet.mxd.forwarding import Forwarding
from mxfleet.mxd.policy import NO_SUCH_MAILBOX
from mxfleet.mxd.receiving_settings import CallAheadSettings
from mxfleet.mxd.routing_settings import ForwardingSettings
from tests.unit.mxd.test_forwarding import KEYS
from tests.unit.mxd.test_mistakes import Lines, answer
from tests.unit.mxd.test_session import SETTINGS, Bench, settle
from tests.unit.mxd.test_shared_table import Clock

ALICE = parse_mailbox("alice@corp.test")
BOB = parse_mailbox("bob@corp.test")
KNOWN, UNKNOWN = Reply(250, "2.1.5", "ok"), Reply(550, "5.1.1", "who?")
AWAY = Reply(451, "4.4.1", "No connection")


class Log(Lines):
    def info(self, event: str, **facts: object) -> None:
        self.error(event, **facts)

    warning = info


class Host:
    """A next hop that answers what the test says, when it says."""

    def __init__(self, **settings: Any) -> None:
        self.replies: dict[str, Reply] = {"alice@corp.test": KNOWN}
        self.asked: list[str] = []
        self.away = False
        self.open = asyncio.Event()
        self.open.set()
        self.clock, self.log = Clock(), Log()
        given = CallAheadSettings(**{"positive": 1000.0, "negative": 100.0, "stale": 5000.0, **settings})
        self.ahead = CallAhead(given, self.probe, self.log, self.clock)  # type: ignore[arg-type]

    async def probe(self, mailbox: Mailbox) -> RecipientResult:
        self.asked.append(str(mailbox))
        await self.open.wait()
        if self.away:
            return RecipientResult(mailbox, "deferred", "greeting", AWAY, remote=False)
        reply = self.replies.get(str(mailbox), UNKNOWN)
        return RecipientResult(mailbox, "delivered" if reply.positive else "failed", "rcpt", reply)


async def test_an_answer_holds_for_its_time() -> None:
    host = Host()
    assert host.ahead.known(ALICE) is None
    states = [(await host.ahead.ask(who)).state for who in (ALICE, BOB, ALICE, BOB)]
    assert states == ["known", "unknown", "known", "unknown"]
    assert host.asked == ["alice@corp.test", "bob@corp.test"]
    host.clock.now += 101
    assert host.ahead.known(BOB) is None
    assert host.ahead.known(parse_mailbox("ALICE@corp.test")) == Answer("known", "250 2.1.5 ok")
    host.clock.now += 900
    assert host.ahead.known(ALICE) is None


async def test_one_address_is_asked_about_once_at_a_time() -> None:
    host = Host()
    host.open.clear()
    asking = [asyncio.ensure_future(host.ahead.ask(ALICE)) for _ in range(50)]
    await asyncio.sleep(0)
    host.open.set()
    assert {found.state for found in await asyncio.gather(*asking)} == {"known"}
    assert host.asked == ["alice@corp.test"]


async def test_who_leaves_does_not_end_it_for_the_others() -> None:
    host = Host()
    host.open.clear()
    first, second = (asyncio.ensure_future(host.ahead.ask(ALICE)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    host.open.set()
    assert (await second).state == "known"


async def test_where_nobody_answers_who_was_known_still_is() -> None:
    host = Host()
    await host.ahead.ask(ALICE)
    await host.ahead.ask(BOB)
    host.away = True
    host.clock.now += 1001
    assert (await host.ahead.ask(ALICE)).state == "known"
    assert (await host.ahead.ask(BOB)).state == "unreachable"
    assert len(host.asked) == 3  # the domain is left alone for a while
    host.clock.now += 5000
    assert (await host.ahead.ask(ALICE)).state == "unreachable"


async def test_a_next_hop_that_is_down_is_left_alone_for_a_while_and_told_of_once() -> None:
    host = Host()
    host.away = True
    for n in range(20):
        await host.ahead.ask(parse_mailbox(f"user{n}@corp.test"))
    assert len(host.asked) == 1
    host.clock.now += DOWN + 1
    await host.ahead.ask(BOB)
    host.clock.now += DOWN + 1
    host.away = False
    await host.ahead.ask(ALICE)
    assert [event for event, _ in host.log.lines] == ["next hop cannot be asked", "next hop answers again"]
    assert host.log.lines[0][1]["domain"] == "corp.test"


async def test_the_time_for_an_answer_is_bounded() -> None:
    host = Host(timeout=0.01)
    host.open.clear()
    assert await host.ahead.ask(ALICE) == Answer("unreachable", "no answer in time")


async def test_waiting_for_its_turn_counts_as_waiting_and_is_no_next_hop_s_fault() -> None:
    host = Host(timeout=0.01)
    host.open.clear()
    users = [parse_mailbox(f"user{n}@d{n}.test") for n in range(AT_ONCE + 1)]
    found = await asyncio.gather(*map(host.ahead.ask, users))
    assert [answer.words for answer in found] == ["no answer in time"] * AT_ONCE + ["others took too long"]
    assert len(host.asked) == AT_ONCE
    assert host.ahead.known(users[0]) is not None
    assert host.ahead.known(users[-1]) is None


async def test_who_waits_for_his_turn_hears_what_became_known_meanwhile() -> None:
    host = Host()
    host.away = True
    host.open.clear()
    users = [parse_mailbox(f"user{n}@corp.test") for n in range(AT_ONCE + 5)]
    asking = [asyncio.ensure_future(host.ahead.ask(user)) for user in users]
    await settle(lambda: len(host.asked) == AT_ONCE)
    host.open.set()
    assert {found.state for found in await asyncio.gather(*asking)} == {"unreachable"}
    assert len(host.asked) == AT_ONCE


async def test_a_mistake_counts_as_no_answer() -> None:
    host = Host()

    async def fails(_mailbox: Mailbox) -> RecipientResult:
        raise RuntimeError("oops")

    host.ahead._probe = fails
    assert (await host.ahead.ask(ALICE)).state == "unreachable"
    assert len(host.log.mistakes()) == 1


async def test_what_is_remembered_is_bounded() -> None:
    host = Host(most=10)
    for n in range(30):
        await host.ahead.ask(parse_mailbox(f"user{n}@corp.test"))
    assert len(host.ahead._kept) == 10
    host.away = True
    for n in range(30):
        await host.ahead.ask(parse_mailbox(f"user@d{n}.test"))
    assert len(host.ahead._down) == 10


@pytest.mark.parametrize(
    ("status", "stage", "remote", "state"),
    [
        ("delivered", "rcpt", True, "known"),
        ("failed", "rcpt", True, "unknown"),
        ("failed", "rcpt", False, "unreachable"),  # our own words
        ("failed", "mail", True, "unreachable"),  # it takes nothing from us: that says nothing of the mailbox
        ("deferred", "rcpt", True, "unreachable"),
        ("deferred", "greeting", False, "unreachable"),
    ],
)
def test_only_an_answer_to_rcpt_says_anything(status: Any, stage: Any, remote: bool, state: str) -> None:
    assert read(RecipientResult(ALICE, status, stage, UNKNOWN, remote)).state == state


async def test_what_follows_is_for_the_settings_to_say() -> None:
    defers, accepts = Host().ahead, Host(unreachable="accept").ahead
    assert defers.verdict(ALICE, Answer("known")) == (ALICE,)
    assert defers.verdict(ALICE, Answer("unknown")) == NO_SUCH_MAILBOX
    assert defers.verdict(ALICE, Answer("unreachable")) == NOT_NOW
    assert accepts.verdict(ALICE, Answer("unreachable")) == (ALICE,)


async def test_a_session_asks_about_whom_the_lists_do_not_know() -> None:
    domain = msgspec.structs.replace(SETTINGS.domain[0], recipients=("listed",), call_ahead=True)
    bench, host = Bench(msgspec.structs.replace(SETTINGS, domain=(domain,))), Host()
    bench.desk.call_ahead = host.ahead
    bench.say(b"EHLO c\r\n", b"MAIL FROM:<carol@peer.test>\r\n")
    said = [
        await answer(bench, b"RCPT TO:<%s>\r\n" % who)
        for who in (
            b"listed@corp.test",
            b"alice@corp.test",
            b"bob@corp.test",
            b"bob@corp.test",
            b"x@other.test",
        )
    ]
    assert [text[:9] for text in said] == ["250 2.1.5", "250 2.1.5", "550 5.1.1", "550 5.1.1", "550 5.7.1"]
    host.away = True
    assert (await answer(bench, b"RCPT TO:<new@corp.test>\r\n")).startswith("451 4.4.1 ")
    assert host.asked == ["alice@corp.test", "bob@corp.test", "new@corp.test"]
    bench.say(b"DATA\r\n")
    bench.say(b"Subject: x\r\n\r\nhello\r\n.\r\n")
    assert bench.spool.accepted[0][1] == ["listed@corp.test", "alice@corp.test"]


async def test_a_bounce_that_comes_back_is_asked_about_by_its_recipient_s_own_name() -> None:
    domain = msgspec.structs.replace(SETTINGS.domain[0], recipients=("listed",), call_ahead=True)
    bench, host = Bench(msgspec.structs.replace(SETTINGS, domain=(domain,))), Host()
    forwarding = Forwarding.of(ForwardingSettings(domain="corp.test", keys=""), KEYS)
    bench.desk.configuration = msgspec.structs.replace(bench.desk.configuration, forwarding=forwarding)
    bench.desk.call_ahead = host.ahead
    bench.say(b"EHLO c\r\n", b"MAIL FROM:<>\r\n")
    for who, code in ((ALICE, "250"), (BOB, "550")):
        rewritten = forwarding.rewritten(who, time.time())
        assert (await answer(bench, b"RCPT TO:<%s>\r\n" % str(rewritten).encode())).startswith(code)
    assert host.asked == ["alice@corp.test", "bob@corp.test"]
    bench.say(b"DATA\r\n")
    bench.say(b"Subject: x\r\n\r\nhello\r\n.\r\n")
    assert bench.spool.accepted[0][1] == ["alice@corp.test"]


@pytest.mark.parametrize("pipelining", ["250-PIPELINING\r\n250-CHUNKING\r\n", ""])
def test_a_probe_ends_behind_rcpt_and_the_session_goes_on(pipelining: str) -> None:
    client = Client(ClientConfig("mx1.corp.test"))
    client.receive(f"220 x\r\n250-x\r\n{pipelining}250 8BITMIME\r\n".encode())
    client.output()
    assert isinstance(client.next_event(), Ready)
    client.send(Transaction(None, (ALICE, BOB), probe=True))
    client.receive(b"250 ok\r\n250 2.1.5 ok\r\n550 5.1.1 who?\r\n250 reset\r\n"[: None if pipelining else 8])
    said = client.output()
    if not pipelining:
        for reply in (b"250 2.1.5 ok\r\n", b"550 5.1.1 who?\r\n", b"250 reset\r\n"):
            client.receive(reply)
            said += client.output()
    assert said.splitlines() == [
        b"MAIL FROM:<>", b"RCPT TO:<alice@corp.test>", b"RCPT TO:<bob@corp.test>", b"RSET",
    ]  # fmt: skip
    outcome, ready = client.next_event(), client.next_event()
    assert isinstance(outcome, Outcome)
    assert [(found.status, found.stage) for found in outcome.results] == [
        ("delivered", "rcpt"), ("failed", "rcpt"),
    ]  # fmt: skip
    assert isinstance(ready, Ready)
