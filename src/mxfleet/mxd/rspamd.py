"""rspamd's opinion of a message: one HTTP request to `/checkv2` on this host, with a deadline.

https://docs.rspamd.com/developers/protocol/ : the message is the body, what is known of its envelope the header.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final

import msgspec

from mxfleet.mxd.outage import Outage
from mxfleet.mxd.receiving_settings import RspamdSettings

MAX_ANSWER: Final = 1 << 20  # octets
_UNFIT = re.compile(r"[^ -~\u0080-\U0010ffff]")  # a value is one line, whatever a client said
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: |\r)")


class Symbol(msgspec.Struct, frozen=True):
    """One rule that matched."""

    score: float = 0.0


class Spam(msgspec.Struct, frozen=True):
    """What rspamd says.

    `action` is rspamd's ("no action", "greylist", "add header", "rewrite subject", "soft reject", "reject"),
    "unreachable" where it did not answer (`hold`: such mail shall wait), or "unseen" for what is not shown to it.
    """

    action: str
    score: float = 0.0
    required: float = 0.0
    symbols: tuple[str, ...] = ()
    message: str = ""
    hold: bool = False


class _Reply(msgspec.Struct, frozen=True):
    """The part of the JSON answer that is used here."""

    action: str
    score: float = 0.0
    required_score: float = 0.0
    symbols: dict[str, Symbol] = {}
    messages: dict[str, object] = {}


_TooLong = asyncio.LimitOverrunError
_decoder = msgspec.json.Decoder(_Reply)


class NoOpinion(Exception):
    """rspamd answered something else than an opinion."""


class Rspamd:
    """Asks the scanner of this host, a connection for each message."""

    def __init__(self, settings: RspamdSettings, outage: Outage) -> None:
        """`outage` tells the log once that nobody answers."""
        self._settings = settings
        self._outage = outage

    def takes(self, size: int) -> bool:
        """Whether a message of this size is shown to it."""
        return size <= self._settings.largest

    async def scan(
        self, envelope: Iterable[tuple[str, str]], size: int, pieces: AsyncIterator[bytes]
    ) -> Spam:
        """Its opinion; never raises for what it does or does not do."""
        try:
            async with asyncio.timeout(self._settings.timeout):
                spam = await self._ask(envelope, size, pieces)
        except (
            OSError,
            EOFError,
            TimeoutError,
            NoOpinion,
            msgspec.MsgspecError,
            ValueError,
            _TooLong,
        ) as error:
            reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            self._outage.failed(reason, then=self._settings.unreachable)
            return Spam("unreachable", hold=self._settings.unreachable == "defer")
        self._outage.worked()
        return spam

    async def _ask(
        self, envelope: Iterable[tuple[str, str]], size: int, pieces: AsyncIterator[bytes]
    ) -> Spam:
        reader, writer = await self._connect()
        try:
            lines = ["POST /checkv2 HTTP/1.1", "Host: rspamd", f"Content-Length: {size}", "Connection: close"]
            lines += [f"{name}: {_UNFIT.sub('?', value)}" for name, value in envelope if value]
            writer.write("\r\n".join([*lines, "", ""]).encode("utf-8", "replace"))
            async for piece in pieces:
                writer.write(piece)
                await writer.drain()
            return _opinion(await _body(reader))
        finally:
            writer.transport.abort()  # it has said all that it will be listened to
            await asyncio.sleep(0)  # the loop lets go of the socket

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = self._settings.address
        if address.startswith("/"):
            return await asyncio.open_unix_connection(address)
        host, _, port = address.rpartition(":")
        return await asyncio.open_connection(host.strip("[]"), int(port))


def _opinion(body: bytes) -> Spam:
    reply = _decoder.decode(body)
    message = reply.messages.get("smtp_message", "")
    symbols = sorted(reply.symbols, key=lambda name: -abs(reply.symbols[name].score))
    return Spam(
        reply.action,
        reply.score,
        reply.required_score,
        tuple(symbols[:20]),
        message if isinstance(message, str) else "",
    )


async def _body(reader: asyncio.StreamReader) -> bytes:
    """The body of an HTTP response (RFC 9112 §6): of a stated length, or up to the end of the connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = _STATUS.match(head)
    if status is None or status[1] != b"200":
        raise NoOpinion(f"it says {head[:60]!r}")
    length = _headers(head).get("content-length", "")
    if not length:
        body = bytearray()
        while piece := await reader.read(MAX_ANSWER - len(body) + 1):
            body += piece
            if len(body) > MAX_ANSWER:
                raise NoOpinion(f"an answer of more than {MAX_ANSWER} octets")
        return bytes(body)
    if not length.isascii() or not length.isdigit() or int(length) > MAX_ANSWER:
        raise NoOpinion(f"an answer of {length[:20]} octets")
    return await reader.readexactly(int(length))


def _headers(head: bytes) -> Mapping[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
