"""rspamd's part played by a small server: opinions, silence, nonsense."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mxfleet.mxd.counters import Shared
from mxfleet.mxd.outage import Outage
from mxfleet.mxd.receiving_settings import RspamdSettings
from mxfleet.mxd.rspamd import Rspamd, Spam

OPINION = {
    "action": "reject",
    "score": 15.5,
    "required_score": 10,
    "symbols": {"GTUBE": {"score": 0.0, "name": "GTUBE"}, "BIG": {"score": 9.0}, "GOOD": {"score": -1}},
    "messages": {"smtp_message": "Gtube pattern"},
    "milter": {"add_headers": {}},
}


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, event: str, **_: object) -> None:
        self.lines.append(event)

    info = error


async def pieces(*octets: bytes) -> AsyncIterator[bytes]:
    for piece in octets:
        yield piece


@contextlib.asynccontextmanager
async def scanner(answer: bytes, *, silent: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    seen: list[bytes] = []

    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        seen.append(head + await reader.readexactly(length))
        if not silent:
            writer.write(answer)
            await writer.drain()
            writer.close()
        with contextlib.suppress(ConnectionError):
            await reader.read()
            writer.close()
            await writer.wait_closed()
        done.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
        await done.wait()


def rspamd(address: str, **settings: Any) -> Rspamd:
    return Rspamd(RspamdSettings(address=address, **settings), outage(Log(), Shared(2), 0))


def outage(log: Any, shared: Shared, process: int) -> Outage:
    return Outage("rspamd", "rspamd_down", shared.row(process), log)


def http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


ENVELOPE = [
    ("IP", "192.0.2.1"),
    ("From", "a@peer.test"),
    ("Rcpt", "b@x.test"),
    ("Rcpt", "c@x.test"),
    ("Helo", ""),
]


async def test_it_is_told_the_envelope_and_shown_the_message() -> None:
    async with scanner(http(json.dumps(OPINION).encode())) as (address, seen):
        spam = await rspamd(address).scan(ENVELOPE, 6, pieces(b"abc", b"def"))
    assert spam == Spam("reject", 15.5, 10, ("BIG", "GOOD", "GTUBE"), "Gtube pattern")
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert body == b"abcdef"
    assert head.startswith(b"POST /checkv2 HTTP/1.1\r\n")
    assert b"IP: 192.0.2.1\r\nFrom: a@peer.test\r\nRcpt: b@x.test\r\nRcpt: c@x.test" in head
    assert b"Helo" not in head


async def test_nothing_that_a_client_said_becomes_a_line_of_its_own() -> None:
    async with scanner(http(json.dumps(OPINION).encode())) as (address, seen):
        await rspamd(address).scan([("Helo", "x\r\nUser: root")], 0, pieces())
    assert b"Helo: x??User: root\r\n" in seen[0]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        http(b"not json"),
        http(b"[]"),
        http(b"{}"),
        http(b'{"action": 3}'),
        http(b"{}", "500 Oops"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"x" * 100_000,
    ],
)
async def test_nonsense_is_no_opinion(answer: bytes) -> None:
    async with scanner(answer) as (address, _):
        assert await rspamd(address).scan([], 0, pieces()) == Spam("unreachable")


async def test_silence_is_no_opinion_after_a_while_and_the_settings_say_what_follows() -> None:
    async with scanner(b"", silent=True) as (address, _):
        spam = await rspamd(address, timeout=0.05, unreachable="defer").scan([], 0, pieces())
    assert spam == Spam("unreachable", hold=True)


async def test_the_log_says_once_for_all_processes_that_nobody_answers_and_once_that_somebody_does() -> None:
    log, shared = Log(), Shared(2)
    first, second = outage(log, shared, 0), outage(log, shared, 1)
    down = [Rspamd(RspamdSettings(address="127.0.0.1:1"), each) for each in (first, second)]
    for scanning in down * 3:
        assert (await scanning.scan([], 0, pieces())).action == "unreachable"
    assert log.lines == ["rspamd does not answer"]
    for each in (first, second, first):
        each.worked()
    assert log.lines == ["rspamd does not answer", "rspamd answers again"]


async def test_an_answer_without_a_length_is_read_to_its_end() -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"def"))
        body = json.dumps(OPINION).encode()
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + body[:20])
        await writer.drain()
        await asyncio.sleep(0.05)  # two pieces: what is there at first is not all
        writer.write(body[20:])
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        spam = await rspamd(address).scan(ENVELOPE, 6, pieces(b"abc", b"def"))
    assert spam.action == "reject"
