"""Checks and their questions answered: from the cache at once, else from the local resolver, each question once."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from mxfleet.errors import SettingsError
from mxfleet.mail.names import is_askable
from mxfleet.mail.questions import Question, Questions, Response, TempError, Verdict
from mxfleet.mxd.resolver.cache import Cache
from mxfleet.mxd.resolver.channel import Channel
from mxfleet.mxd.resolver.inquiry import Inquiry
from mxfleet.mxd.resolver.wire import Message

PATIENCE: Final = 10.0  # seconds for one question, all repetitions included
RESOLV_CONF: Final = Path("/etc/resolv.conf")


class Resolver:
    """The validating resolver of this host, as one process sees it.

    resolver.known(question)              # at once: the answer that is in the cache, or None
    await resolver.ask(question)          # Response; never raises, a failure is TempError
    resolver.begin(check, until)          # the verdict if all is known, else a future that will have it
    """

    def __init__(
        self, server: str = "", *, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`server` is an address or `address:port`; empty for the first one of resolv.conf."""
        host, port = place(server or _configured())
        self._channel = Channel(host, port, trusted=ip_address(host).is_loopback)
        self.clock = clock
        self._cache = Cache(clock)
        self._patience = patience
        self._asking: dict[Question, asyncio.Future[Message]] = {}
        self.known = self._cache.get

    async def ask(self, question: Question) -> Response:
        """The answer; who asks the same while it is under way waits for the same answer."""
        found = self.known(question)
        return found if found is not None else (await asyncio.shield(self.asked(question))).response

    def ask_ahead(self, questions: Iterable[Question]) -> None:
        """Have the answers fetched that will be wanted soon."""
        for question in questions:
            if self.known(question) is None:
                self.asked(question)

    def begin(
        self,
        check: Questions[Verdict],
        until: float,
        *,
        mistaken: Callable[[Exception], Verdict] | None = None,
        keep: Callable[[Verdict, float], None] | None = None,
    ) -> Verdict | asyncio.Future[Verdict]:
        """Drive a check as far as the cache goes; `until` (the loop's clock) what is not known counts as TempError.

        `mistaken` makes a verdict of what the check raises, which is raised where it is None. `keep` is told a
        verdict that needed no waiting, and until when (`clock`) all of the answers hold that led to it.
        """
        holds = math.inf
        try:
            question = next(check)
            while (found := self._cache.find(question)) is not None:
                holds = min(holds, found[1])
                question = check.send(found[0])
        except StopIteration as end:
            verdict: Verdict = end.value
            if keep is not None:
                keep(verdict, holds)
            return verdict
        except Exception as error:
            if mistaken is None:
                raise
            return mistaken(error)
        return Inquiry(self, check, question, until, mistaken).verdict

    async def run(self, check: Questions[Verdict], until: float) -> Verdict:
        """The verdict of a check."""
        begun = self.begin(check, until)
        return await begun if isinstance(begun, asyncio.Future) else begun

    async def close(self) -> None:
        """Let go of the socket; what is under way gets no answer."""
        under_way = list(self._asking.values())
        for answer in under_way:
            answer.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        self._channel.close()

    def asked(self, question: Question) -> asyncio.Future[Message]:
        """What will be the answer, in the cache by then; whoever asks the same gets the same future."""
        answer = self._asking.get(question)
        if answer is None:
            answer = self._ask(question)
            self._asking[question] = answer
            answer.add_done_callback(partial(self._answered, question))
        return answer

    def _ask(self, question: Question) -> asyncio.Future[Message]:
        loop = asyncio.get_running_loop()
        try:
            if is_askable(question.name):
                return self._channel.ask(question, self._patience)
            trouble = TempError("not a name that can be asked for")
        except Exception as error:  # a mistake of ours; who asked is waiting for a response
            context = {"message": f"mistake in mxd: {question.type} of {question.name!r}", "exception": error}
            loop.call_exception_handler(context)
            trouble = TempError("this host could not ask")
        answer: asyncio.Future[Message] = loop.create_future()
        answer.set_result(Message(trouble, 0))
        return answer

    def _answered(self, question: Question, answer: asyncio.Future[Message]) -> None:
        del self._asking[question]
        if not answer.cancelled():
            self._cache.put(question, answer.result())


def place(server: str) -> tuple[str, int]:
    """Host and port of `192.0.2.1`, `192.0.2.1:53`, `2001:db8::1` or `[2001:db8::1]:53`; SettingsError else."""
    host, colon, port = server.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        host, port = server, "53"
    host = host.strip("[]")
    try:
        return str(ip_address(host)), int(port)
    except ValueError as error:
        raise SettingsError(f"resolver {server!r}: not an address, or an address and a port") from error


def _configured() -> str:
    """RFC-less, resolv.conf(5): the first name server, this host where there is none."""
    try:
        words = [line.split() for line in RESOLV_CONF.read_text().splitlines()]
    except OSError:
        return "127.0.0.1"
    return next((word[1] for word in words if len(word) > 1 and word[0] == "nameserver"), "127.0.0.1")
