"""Checks and their questions answered: from the cache at once, else from the local resolver, each question once."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from mxfleet.errors import SettingsError
from mxfleet.mail.names import is_askable
from mxfleet.mail.questions import Question, Questions, Response, TempError, Verdict
from mxfleet.mxd.resolver.cache import Cache
from mxfleet.mxd.resolver.channel import Channel

PATIENCE: Final = 10.0  # seconds for one question, all repetitions included
RESOLV_CONF: Final = Path("/etc/resolv.conf")
_LATE: Final = TempError("no answer in time")


class Resolver:
    """The validating resolver of this host, as one process sees it.

    resolver.known(question)              # at once: the answer that is in the cache, or None
    await resolver.ask(question)          # Response; never raises, a failure is TempError
    resolver.begin(check, until)          # the verdict if all is known, else a task that will have it
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
        self._asking: dict[Question, asyncio.Task[Response]] = {}
        self.known = self._cache.get

    async def ask(self, question: Question) -> Response:
        """The answer; who asks the same while it is under way waits for the same answer."""
        found = self.known(question)
        return found if found is not None else await asyncio.shield(self._ask(question))

    def ask_ahead(self, questions: Iterable[Question]) -> None:
        """Have the answers fetched that will be wanted soon."""
        for question in questions:
            if self.known(question) is None:
                self._ask(question)

    def begin(
        self,
        check: Questions[Verdict],
        until: float,
        *,
        mistaken: Callable[[Exception], Verdict] | None = None,
        keep: Callable[[Verdict, float], None] | None = None,
    ) -> Verdict | asyncio.Task[Verdict]:
        """Drive a check as far as the cache goes; `until` (the loop's clock) what is not known counts as TempError.

        `mistaken` makes a verdict of what the check raises, which is raised where it is None. `keep` is told a
        verdict that needed no task, and until when (`clock`) all of the answers hold that led to it.
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
        return asyncio.get_running_loop().create_task(self._go_on(check, question, until, mistaken))

    async def run(self, check: Questions[Verdict], until: float) -> Verdict:
        """The verdict of a check."""
        begun = self.begin(check, until)
        return await begun if isinstance(begun, asyncio.Task) else begun

    async def close(self) -> None:
        """Let go of the socket; what is under way gets no answer."""
        under_way = list(self._asking.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        self._channel.close()
        await asyncio.sleep(0)  # the loop closes it

    async def _go_on(
        self,
        check: Questions[Verdict],
        question: Question,
        until: float,
        mistaken: Callable[[Exception], Verdict] | None,
    ) -> Verdict:
        try:
            while True:
                question = check.send(self.known(question) or await self._ask_until(question, until))
        except StopIteration as end:
            verdict: Verdict = end.value
            return verdict
        except Exception as error:
            if mistaken is None:
                raise
            return mistaken(error)

    async def _ask_until(self, question: Question, until: float) -> Response:
        asked = self._ask(question)
        left = until - asyncio.get_running_loop().time()
        await asyncio.wait([asked], timeout=max(left, 0.0))
        return asked.result() if asked.done() else _LATE

    def _ask(self, question: Question) -> "asyncio.Task[Response]":
        asked = self._asking.get(question)
        if asked is None:
            asked = asyncio.get_running_loop().create_task(self._fetch(question))
            self._asking[question] = asked
        return asked

    async def _fetch(self, question: Question) -> Response:
        try:
            if not is_askable(question.name):
                return TempError("not a name that can be asked for")
            message = await self._channel.ask(question, self._patience)
            self._cache.put(question, message)
            return message.response
        except Exception as error:  # a mistake of ours; who asked is waiting for a response
            context = {"message": f"mistake in mxd: {question.type} of {question.name!r}", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            return TempError("this host could not ask")
        finally:
            del self._asking[question]


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
