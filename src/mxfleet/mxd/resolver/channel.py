"""Questions to one resolver over UDP, many under way on one socket, and over TCP where an answer is too large.

What makes an answer hard to forge (RFC 5452 §9): a random number, a port that the kernel chose and that is changed
now and then, a connected socket, and the question repeated in the answer.

When many clients come at once there are thousands of questions under way: a question is an object with a timer and
no task, whose frames and contexts would take ten times as much memory.
"""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable
from typing import Final

from mxfleet.mail.questions import Question, TempError
from mxfleet.mxd.resolver.wire import Message, NotOurs, decode, encode

QUESTIONS: Final = 5_000  # asked from one port
UNDER_WAY: Final = 10_000  # questions without an answer; beyond, nobody knows
RECEIVE_BUFFER: Final = 1 << 20  # octets; a burst of answers must not be lost while a worker is busy
DATAGRAM: Final = 4096  # octets of an answer; we ask for less
AT_ONCE: Final = 100  # answers read in one turn of the loop
AGAIN: Final = (1.0, 3.0)  # seconds after which a question is asked again; the resolver is on this host


class Channel:
    """The way to one resolver."""

    def __init__(self, host: str, port: int, *, trusted: bool) -> None:
        """`trusted`: see wire.decode."""
        self._place = (host, port)
        self._trusted = trusted
        self._socket: _Socket | None = None
        self._waiting = 0
        self._streams: set[asyncio.Task[None]] = set()

    def ask(self, question: Question, patience: float) -> asyncio.Future[Message]:
        """The answer, TempError where there is none within `patience` seconds; never an exception for the network."""
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        if self._waiting >= UNDER_WAY:
            answer.set_result(_trouble("too many questions are under way"))
            return answer
        self._waiting += 1
        answer.add_done_callback(self._one_less)
        _Asking(self, question, answer, patience)
        return answer

    def close(self) -> None:
        """Let go of the sockets; what waits gets no answer."""
        for stream in self._streams:
            stream.cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def socket(self) -> "_Socket":
        """The one to ask from; the one before it closes when its last question is done with. Raises OSError."""
        if self._socket is None or self._socket.worn:
            made = _Socket(self._place, self._trusted)
            if self._socket is not None:
                self._socket.retire()
            self._socket = made
        return self._socket

    def by_stream(self, question: Question, answer: asyncio.Future[Message], until: float) -> None:
        """Ask over TCP."""
        task = asyncio.get_running_loop().create_task(self._by_stream(question, answer, until))
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)

    async def _by_stream(self, question: Question, answer: asyncio.Future[Message], until: float) -> None:
        message = _trouble("this host could not ask")
        try:
            async with asyncio.timeout_at(until):
                message = await self._exchange(question)
        except TimeoutError:
            message = _trouble("no answer in time")
        except (OSError, EOFError, NotOurs) as error:
            message = _trouble(f"no answer: {error}")
        finally:  # whatever it was: who asked is waiting, and everybody who asks the same
            if not answer.done():
                answer.set_result(message)

    async def _exchange(self, question: Question) -> Message:
        """RFC 7766: two octets of length before each message."""
        number = secrets.randbits(16)
        octets = encode(number, question)
        reader, writer = await asyncio.open_connection(*self._place)
        try:
            writer.write(len(octets).to_bytes(2, "big") + octets)
            length = int.from_bytes(await reader.readexactly(2), "big")
            return decode(await reader.readexactly(length), number, question, trusted=self._trusted)
        finally:
            writer.close()

    def _one_less(self, _answer: asyncio.Future[Message]) -> None:
        self._waiting -= 1


class _Asking:
    """One question until it has its answer: sent again where none comes, over TCP where it does not fit."""

    __slots__ = ("_again", "_answer", "_channel", "_loop", "_question", "_sent", "_timer", "_until")

    def __init__(
        self, channel: Channel, question: Question, answer: asyncio.Future[Message], patience: float
    ) -> None:
        self._channel = channel
        self._question = question
        self._answer = answer
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + patience
        self._again = iter(AGAIN)
        self._sent: list[tuple[_Socket, int]] = []
        self._timer: asyncio.TimerHandle
        answer.add_done_callback(self._done)
        self._send()

    def _send(self) -> None:
        left = self._until - self._loop.time()
        wait = next(self._again, left)
        self._timer = self._loop.call_later(min(wait, left), self._send if wait < left else self._late)
        try:
            used = self._channel.socket()
        except OSError as error:
            self._end(_trouble(f"no answer: {error}"))
            return
        self._sent.append((used, used.send(self._question, self._take)))

    def _take(self, message: Message) -> None:
        if message.truncated:
            self._forget()
            self._channel.by_stream(self._question, self._answer, self._until)
        else:
            self._end(message)

    def _late(self) -> None:
        self._end(_trouble("no answer in time"))

    def _end(self, message: Message) -> None:
        if not self._answer.done():
            self._answer.set_result(message)

    def _done(self, _answer: asyncio.Future[Message]) -> None:
        """There is an answer, or nobody wants one any more."""
        self._forget()

    def _forget(self) -> None:
        self._timer.cancel()
        for used, number in self._sent:
            used.forget(number)
        self._sent.clear()


class _Socket:
    """One port: the questions that were asked from it, by number."""

    def __init__(self, place: tuple[str, int], trusted: bool) -> None:
        family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._trusted = trusted
        self._asked: dict[int, tuple[Question, Callable[[Message], None]]] = {}
        self._left = QUESTIONS
        self._retired = False
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self._socket.connect(place)
        except OSError:
            self._socket.close()
            raise
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._readable)

    @property
    def worn(self) -> bool:
        """Whether it is time for another port."""
        return self._left <= 0

    def send(self, question: Question, take: Callable[[Message], None]) -> int:
        """Ask; the number to forget it by. `take` is called with the answer, once, unless it is forgotten before."""
        number = secrets.randbits(16)
        while number in self._asked:
            number = secrets.randbits(16)
        self._asked[number] = (question, take)
        self._left -= 1
        with contextlib.suppress(OSError):  # nobody listens there at the moment: asked again in a second
            self._socket.send(encode(number, question))
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
        """Let go of it; harmless when that was done before."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _readable(self) -> None:
        for _ in range(AT_ONCE):
            try:
                datagram = self._socket.recv(DATAGRAM)
            except OSError:  # nothing more, or nobody listens there: asked again, like what was lost
                return
            self._arrived(datagram)

    def _arrived(self, datagram: bytes) -> None:
        number = int.from_bytes(datagram[:2], "big")
        if (asked := self._asked.get(number)) is None:
            return
        question, take = asked
        try:
            message = decode(datagram, number, question, trusted=self._trusted)
        except NotOurs:
            return  # whoever sent it guessed the number; the real answer may still come
        del self._asked[number]
        take(message)


def _trouble(why: str) -> Message:
    return Message(TempError(why), 0)
