"""A session on a fake transport and a spool that does what a test wants: answers, order, ends."""

import asyncio
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import pytest

from mxfleet.errors import SpoolError
from mxfleet.mxd import accounts, settings
from mxfleet.mxd.carrier import LINGER
from mxfleet.mxd.configuration import Configuration
from mxfleet.mxd.counters import Shared
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.directory import Directory
from mxfleet.mxd.observe import logger
from mxfleet.mxd.session import Session
from mxfleet.mxd.spool.protocol import CHUNK, Envelope, SpoolFull, Staged
from mxfleet.mxd.tls import Certificates

SETTINGS = settings.Settings(
    node=settings.NodeSettings(name="mx1", hostname="mx1.corp.test", release="", address4="127.0.0.1"),
    service=settings.ServiceSettings(hostname="mx.corp.test"),
    domain=(
        settings.DomainSettings(
            name="corp.test",
            recipients=("alice", "bob"),
            route=settings.RouteSettings(kind="lmtp", host="127.0.0.1", port=1),
        ),
    ),
)
ENVELOPE = b"EHLO c\r\n", b"MAIL FROM:<carol@peer.test>\r\nRCPT TO:<alice@corp.test>\r\nDATA\r\n"


class FakeSpool:
    """Commits when the test says so."""

    def __init__(self) -> None:
        self.commits: list[asyncio.Future[None]] = []
        self.accepted: list[tuple[Envelope, list[str], bytes, bytes, Staged | None]] = []
        self.chunks: list[bytes] = []
        self.discarded: list[Staged] = []
        self.error: SpoolError | None = None

    def accept(
        self,
        envelope: Envelope,
        recipients: Sequence[str],
        head: bytes,
        body: bytes,
        staged: Staged | None = None,
    ) -> asyncio.Future[None]:
        self.accepted.append((envelope, list(recipients), head, body, staged))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.commits.append(future)
        return future

    async def stage(self, staged: Staged | None, chunk: bytes) -> Staged:
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        self.chunks.append(chunk)
        return Staged(1, len(self.chunks))

    def discard(self, staged: Staged) -> asyncio.Future[None]:
        self.discarded.append(staged)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future


class FakeTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 1), "sockname": ("192.0.2.1", 25)})
        self.written = b""
        self.closed = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Bench:
    def __init__(self, given: settings.Settings = SETTINGS, log: Any = None) -> None:
        self.spool = FakeSpool()
        configuration = Configuration(
            settings=given,
            directory=Directory.of(given),
            accounts=accounts.Directory(settings.Accounts()),
            certificates=Certificates([]),
            keys={},
            passwords={},
            digest="",
        )
        self.counters = Shared(1).row(0)
        self.desk = Desk(configuration, self.spool, 1, self.counters, log or logger("test"))  # type: ignore[arg-type]
        self.transport = FakeTransport()
        self.ended: list[Session] = []
        self.session = Session(self.desk, self.desk.server_config("smtp"), lambda _: None, self.ended.append)
        self.session.connection_made(self.transport)
        assert self.said().startswith("220 mx.corp.test")

    def said(self) -> str:
        self.desk.outbox.empty()
        written, self.transport.written = self.transport.written, b""
        return written.decode()

    def say(self, *octets: bytes) -> str:
        for piece in octets:
            self.session.data_received(piece)
        return self.said()

    def begin(self) -> None:
        assert self.say(*ENVELOPE).splitlines()[-1].startswith("354 ")


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def settle(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - there is nothing to wait on
            await asyncio.sleep(0)


async def test_the_250_is_said_only_after_the_commit(bench: Bench) -> None:
    bench.begin()
    assert bench.say(b"Subject: x\r\n\r\nhello\r\n.\r\n") == ""
    (envelope, recipients, head, body, staged) = bench.spool.accepted[0]
    assert (envelope.sender, recipients, staged) == ("carol@peer.test", ["alice@corp.test"], None)
    assert body == b"Subject: x\r\n\r\nhello\r\n"
    assert envelope.size == len(body)
    assert envelope.trace.encode() in head
    await asyncio.sleep(0)
    assert bench.said() == ""
    bench.spool.commits[0].set_result(None)
    await asyncio.sleep(0)
    assert bench.said() == f"250 2.0.0 accepted as {envelope.trace}\r\n"


@pytest.mark.parametrize(
    ("error", "reply"), [(SpoolFull("no room"), "452 4.3.1 "), (SpoolError("broken"), "451 4.3.0 ")]
)
async def test_what_cannot_be_committed_is_not_accepted(bench: Bench, error: SpoolError, reply: str) -> None:
    bench.begin()
    bench.say(b"Subject: x\r\n\r\n.\r\n")
    bench.spool.commits[0].set_exception(error)
    await asyncio.sleep(0)
    assert bench.said().startswith(reply)
    assert bench.counters.value("spool_failures") == 1
    assert bench.counters.value("messages_accepted") == 0
    assert bench.say(b"MAIL FROM:<carol@peer.test>\r\n").startswith("250 ")


async def test_replies_to_pipelined_transactions_come_in_order(bench: Bench) -> None:
    bench.begin()
    second = b"MAIL FROM:<>\r\nRCPT TO:<nobody@corp.test>\r\nRCPT TO:<bob@corp.test>\r\nDATA\r\n"
    assert bench.say(b"Subject: x\r\n\r\n.\r\n" + second) == ""
    bench.spool.commits[0].set_result(None)
    await asyncio.sleep(0)
    assert [line[:9] for line in bench.said().splitlines()] == [
        "250 2.0.0", "250 2.1.0", "550 5.1.1", "250 2.1.5", "354 End d",
    ]  # fmt: skip


async def test_a_client_that_leaves_during_the_commit_breaks_nothing(bench: Bench) -> None:
    bench.begin()
    bench.say(b"Subject: x\r\n\r\n.\r\n")
    bench.session.connection_lost(None)
    bench.spool.commits[0].set_result(None)
    await asyncio.sleep(0)
    assert bench.said() == ""
    assert bench.ended == [bench.session]
    assert bench.counters.value("messages_accepted") == 1


async def test_one_recipient_named_twice_gets_one_copy(bench: Bench) -> None:
    bench.say(b"EHLO c\r\n", b"MAIL FROM:<>\r\n", *[b"RCPT TO:<alice@corp.test>\r\n"] * 2, b"DATA\r\n")
    bench.say(b"Subject: x\r\n\r\n.\r\n")
    assert bench.spool.accepted[0][1] == ["alice@corp.test"]


async def test_recipients_of_a_reset_transaction_are_forgotten(bench: Bench) -> None:
    bench.say(b"EHLO c\r\n", b"MAIL FROM:<>\r\nRCPT TO:<alice@corp.test>\r\nRSET\r\n")
    bench.say(b"MAIL FROM:<>\r\nRCPT TO:<bob@corp.test>\r\nDATA\r\n")
    bench.say(b"Subject: x\r\n\r\n.\r\n")
    assert bench.spool.accepted[0][1] == ["bob@corp.test"]


def large(octets: int) -> bytes:
    return b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * (octets // 18)


async def test_a_large_message_goes_to_the_spool_in_chunks_as_it_comes(bench: Bench) -> None:
    bench.begin()
    message = large(3 * CHUNK)
    for at in range(0, len(message), 10_000):
        bench.session.data_received(message[at : at + 10_000])
        await asyncio.sleep(0)
    await settle(lambda: len(bench.spool.chunks) == 2)
    assert all(len(chunk) == CHUNK for chunk in bench.spool.chunks)
    bench.session.data_received(b".\r\n")
    await settle(lambda: bench.spool.accepted)
    *_, body, staged = bench.spool.accepted[0]
    assert staged == Staged(1, len(bench.spool.chunks))
    assert b"".join(bench.spool.chunks) + body == message


async def test_a_client_faster_than_the_spool_has_to_wait(bench: Bench) -> None:
    bench.begin()
    bench.session.data_received(large(6 * CHUNK))
    assert not bench.transport.reading
    await settle(lambda: bench.transport.reading)
    assert len(bench.spool.chunks) >= 2


async def test_a_spool_that_fills_up_half_way_refuses_the_message_at_its_end(bench: Bench) -> None:
    bench.begin()
    bench.session.data_received(large(2 * CHUNK))
    await settle(lambda: bench.spool.chunks)
    bench.spool.error = SpoolFull("no room")
    bench.session.data_received(large(2 * CHUNK))
    await settle(lambda: bench.spool.discarded)
    assert bench.said() == ""
    assert bench.say(b"more\r\n.\r\n").startswith("452 4.3.1 ")
    assert bench.spool.accepted == []
    assert bench.say(b"MAIL FROM:<>\r\n").startswith("250 ")


async def test_a_client_that_leaves_half_way_leaves_no_chunk_behind(bench: Bench) -> None:
    bench.begin()
    bench.session.data_received(large(2 * CHUNK))
    await settle(lambda: len(bench.spool.chunks) == 2)
    await asyncio.sleep(0)
    bench.session.connection_lost(None)
    assert bench.spool.discarded == [Staged(1, 2)]


async def test_the_deadline_moves_with_commands_and_not_with_octets(bench: Bench) -> None:
    bench.say(b"EHLO c\r\n")
    assert not bench.session.overdue(100.0)
    bench.say(b"NO")
    assert not bench.session.overdue(399.0)
    assert bench.session.overdue(400.0)
    bench.say(b"OP\r\n")
    assert not bench.session.overdue(401.0)
    assert not bench.session.overdue(700.0)
    assert bench.session.overdue(701.0)
    bench.session.expire()
    assert bench.said().startswith("421 4.4.2")
    assert bench.transport.closed


async def test_a_commit_has_no_deadline(bench: Bench) -> None:
    bench.begin()
    bench.say(b"Subject: x\r\n\r\n.\r\n")
    assert not bench.session.overdue(100.0)
    assert not bench.session.overdue(1e9)


async def test_a_client_that_the_spool_keeps_waiting_has_no_deadline(bench: Bench) -> None:
    bench.begin()
    assert not bench.session.overdue(100.0)
    bench.session.data_received(large(6 * CHUNK))
    assert not bench.session.overdue(1e9)
    await settle(lambda: bench.transport.reading)
    assert not bench.session.overdue(101.0)
    assert bench.session.overdue(1e9)


async def test_a_client_that_does_not_take_its_last_reply_is_left(bench: Bench) -> None:
    now = asyncio.get_running_loop().time()
    assert not bench.session.overdue(now)
    assert bench.say(b"QUIT\r\n").startswith("221 ")
    assert not bench.session.overdue(now + LINGER - 1)
    assert bench.session.overdue(now + LINGER + 60)


async def test_the_end_waits_for_the_commit(bench: Bench) -> None:
    bench.begin()
    bench.say(b"Subject: x\r\n\r\n.\r\n")
    bench.session.drain()
    assert bench.said() == ""
    bench.spool.commits[0].set_result(None)
    await asyncio.sleep(0)
    assert [line[:3] for line in bench.said().splitlines()] == ["250", "421"]
    assert bench.transport.closed


class FakeKnown:
    """What is known of a client: nothing yet, and all of it before anybody gets to wait for it."""

    address = ip_address("192.0.2.7")
    facts = SimpleNamespace(iprev=None, listings=())
    gatherer = SimpleNamespace(lists=("dnsbl.test",))

    def __init__(self) -> None:
        self.task = asyncio.get_running_loop().create_task(asyncio.sleep(0))

    @property
    def waiting(self) -> list[Any]:
        return [] if self.task.done() else [self.task]

    def greeted(self, _hello: str) -> None:
        pass

    def sent(self, _sender: str) -> None:
        pass


async def test_a_recipient_waits_for_lists_that_answer_at_that_moment(bench: Bench) -> None:
    known = bench.session._known = FakeKnown()  # type: ignore[assignment]
    await asyncio.sleep(0)  # the task has begun, and ends before one that is made now begins
    assert (
        bench.say(ENVELOPE[0], b"MAIL FROM:<carol@peer.test>\r\nRCPT TO:<alice@corp.test>\r\n").count("250 ")
        == 2
    )
    await known.task
    await settle(lambda: bench.transport.written)
    assert bench.said().startswith("250 ")


async def test_a_client_that_reads_no_replies_is_not_read_either(bench: Bench) -> None:
    bench.session.pause_writing()
    assert not bench.transport.reading
    bench.session.resume_writing()
    assert bench.transport.reading


async def test_a_flood_behind_a_question_is_not_gathered(bench: Bench) -> None:
    bench.begin()
    bench.say(b"Subject: x\r\n\r\n.\r\n" + b"NOOP\r\n" * 20_000)
    assert not bench.transport.reading
    bench.spool.commits[0].set_result(None)
    await asyncio.sleep(0)
    assert bench.transport.reading or bench.transport.closed
