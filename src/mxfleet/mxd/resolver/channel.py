"""Questions to one resolver over UDP, many under way on one socket, and over TCP where an answer is too large.

What makes an answer hard to forge (RFC 5452 §9): a random number, a port that the kernel chose and that is changed
now and then, a connected socket, and the question repeated in the answer.
"""

import asyncio
import secrets
import socket
from typing import Final, cast

from mxfleet.mail.questions import Question, TempError
from mxfleet.mxd.resolver.wire import Message, NotOurs, decode, encode

QUESTIONS: Final = 5_000  # asked from one port
UNDER_WAY: Final = 10_000  # questions without an answer; beyond, nobody knows
RECEIVE_BUFFER: Final = 1 << 20  # octets; a burst of answers must not be lost while a worker is busy
AGAIN: Final = (1.0, 3.0)  # seconds after which a question is asked again; the resolver is on this host


class Channel:
    """The way to one resolver."""

    def __init__(self, host: str, port: int, *, trusted: bool) -> None:
        """`trusted`: see wire.decode."""
        self._host = host
        self._port = port
        self._trusted = trusted
        self._socket: _Socket | None = None
        self._opening: asyncio.Task[_Socket] | None = None
        self._waiting = 0

    async def ask(self, question: Question, patience: float) -> Message:
        """The answer, TempError where there is none within `patience` seconds; never raises for the network."""
        if self._waiting >= UNDER_WAY:
            return Message(TempError("too many questions are under way"), 0)
        self._waiting += 1
        try:
            async with asyncio.timeout(patience):
                message = await self._by_datagram(question)
                return await self._by_stream(question) if message.truncated else message
        except TimeoutError:
            return Message(TempError("no answer in time"), 0)
        except (OSError, EOFError, NotOurs) as error:
            return Message(TempError(f"no answer: {error}"), 0)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let go of the socket; what waits gets no answer."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _by_datagram(self, question: Question) -> Message:
        sockets: list[tuple[_Socket, int]] = []
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Message] = loop.create_future()
        try:
            for wait in (*AGAIN, None):
                current = await self._current()
                sockets.append((current, current.send(question, answer)))
                done, _ = await asyncio.wait([answer], timeout=wait)
                if done:
                    break
            return await answer
        finally:
            for used, number in sockets:
                used.forget(number)

    async def _current(self) -> "_Socket":
        """The socket to ask from; the one before it closes when its last question is done with."""
        if self._socket is not None and not self._socket.worn:
            return self._socket
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())
        return await asyncio.shield(self._opening)

    async def _open(self) -> "_Socket":
        try:
            _, made = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Socket(self._trusted), remote_addr=(self._host, self._port)
            )
            if self._socket is not None:
                self._socket.retire()
            self._socket = made
            return made
        finally:
            self._opening = None

    async def _by_stream(self, question: Question) -> Message:
        """RFC 7766: two octets of length before each message."""
        number = secrets.randbits(16)
        octets = encode(number, question)
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(len(octets).to_bytes(2, "big") + octets)
            length = int.from_bytes(await reader.readexactly(2), "big")
            return decode(await reader.readexactly(length), number, question, trusted=self._trusted)
        finally:
            writer.close()


class _Socket(asyncio.DatagramProtocol):
    """One port: the questions that were asked from it, by number."""

    def __init__(self, trusted: bool) -> None:
        self._trusted = trusted
        self._transport: asyncio.DatagramTransport
        self._asked: dict[int, tuple[Question, asyncio.Future[Message]]] = {}
        self._left = QUESTIONS
        self._retired = False

    @property
    def worn(self) -> bool:
        """Whether it is time for another port."""
        return self._left <= 0 or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        opened = transport.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)

    def send(self, question: Question, answer: asyncio.Future[Message]) -> int:
        """Ask; the number to forget it by."""
        number = secrets.randbits(16)
        while number in self._asked:
            number = secrets.randbits(16)
        self._asked[number] = (question, answer)
        self._left -= 1
        self._transport.sendto(encode(number, question))
        return number

    def forget(self, number: int) -> None:
        """Nobody waits for it any more."""
        self._asked.pop(number, None)
        if self._retired and not self._asked:
            self.close()

    def retire(self) -> None:
        """No more questions: close when the last one is done with."""
        self._retired = True
        if not self._asked:
            self.close()

    def close(self) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:  # noqa: ARG002
        number = int.from_bytes(data[:2], "big")
        question, answer = self._asked.get(number, (None, None))
        if question is None or answer is None or answer.done():
            return
        try:
            answer.set_result(decode(data, number, question, trusted=self._trusted))
        except NotOurs:
            return  # whoever sent it guessed the number; the real answer may still come

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there at the moment: asked again in a second, like what was lost."""
