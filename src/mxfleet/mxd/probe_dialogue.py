"""The probe's own conversation with a mail host: slow, line by line, each line written down with its time."""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final, Self, cast

from mxfleet.errors import ServiceError, SmtpError
from mxfleet.mail.reply import Reply, ReplyParser
from mxfleet.mxd.probe_report import Line, Port, Side, Tried

CONNECT: Final = 10.0  # seconds; a firewall that drops says nothing for ever
REPLY: Final = 30.0
MOST_LINES: Final = 200  # of a reply or of all: more is nobody's to read
_REFUSED: Final = (errno.ECONNREFUSED,)


class Notebook:
    """What was said, with the time since the beginning."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self.lines: list[Line] = []

    def write(self, side: Side, text: str) -> None:
        """A line; no more than can be read."""
        if len(self.lines) < MOST_LINES:
            self.lines.append(Line(round(self._clock() - self._begun, 3), side, text[:1000]))


class Conversation:
    """One connection; `reply` and `command` write down what goes over it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, notebook: Notebook
    ) -> None:
        """Made by `connect`."""
        self._reader = reader
        self._writer = writer
        self._notebook = notebook
        self._parser = ReplyParser()

    @classmethod
    async def over(cls, opened: socket.socket, notebook: Notebook) -> Self:
        """On a connected socket."""
        reader, writer = await asyncio.open_connection(sock=opened)
        return cls(reader, writer, notebook)

    async def reply(self) -> Reply:
        """The next reply; raises ServiceError where none comes."""
        try:
            async with asyncio.timeout(REPLY):
                while (found := self._parser.next_reply()) is None:
                    octets = await self._reader.read(4096)
                    if not octets:
                        raise ServiceError("it closed the connection without a reply")
                    self._parser.feed(octets)
        except TimeoutError as error:
            raise ServiceError(f"no reply within {REPLY:.0f} s") from error
        except (OSError, SmtpError) as error:
            raise ServiceError(f"no reply that can be understood: {error}") from error
        for text in found.text.splitlines() or [""]:
            words = " ".join(part for part in (str(found.code), found.enhanced, text) if part)
            self._notebook.write("them", words)
        return found

    async def command(self, line: str) -> Reply:
        """Say a line and hear the answer."""
        self._notebook.write("us", line)
        self._writer.write(line.encode("ascii", "replace") + b"\r\n")
        with contextlib.suppress(OSError):
            await self._writer.drain()
        return await self.reply()

    async def start_tls(self, context: ssl.SSLContext, name: str) -> ssl.SSLObject:
        """The handshake; raises what it raises (OSError, ssl.SSLError)."""
        async with asyncio.timeout(REPLY):
            await self._writer.start_tls(context, server_hostname=name)
        self._parser = ReplyParser()
        return cast("ssl.SSLObject", self._writer.get_extra_info("ssl_object"))

    async def close(self) -> None:
        """Let go."""
        self._writer.transport.abort()
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()


async def connect(
    address: str, port: int, source: str, seconds: float = CONNECT
) -> tuple[Tried, socket.socket | None]:
    """One address: what its port says, and the socket where it is open."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    begun, own = time.monotonic(), ""
    try:
        opened.setblocking(False)
        if source:
            opened.bind((source, 0))
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().sock_connect(opened, (address, port))
        own = _name(opened)
    except OSError as error:
        own = _name(opened)
        opened.close()
        found = Tried(address, _port(error), round(time.monotonic() - begun, 3), own, _words(error, seconds))
        return found, None
    return Tried(address, "open", round(time.monotonic() - begun, 3), own), opened


def _port(error: OSError) -> Port:
    """RFC 9293 §3.10.7.1: a reset is an answer; silence is somebody who drops."""
    if error.errno in _REFUSED:
        return "refused"
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return "filtered"
    return "unreachable"


def _words(error: OSError, seconds: float) -> str:
    return os.strerror(error.errno) if error.errno else f"no answer within {seconds:.0f} s"


def _name(opened: socket.socket) -> str:
    """Our end: address and port."""
    with contextlib.suppress(OSError):
        host, port = opened.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return ""
