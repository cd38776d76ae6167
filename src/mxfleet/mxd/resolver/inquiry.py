"""A check that waits for answers: driven by them as they come, without a task of its own."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, Generic, Protocol

from mxfleet.mail.questions import Question, Questions, Response, TempError, Verdict
from mxfleet.mxd.resolver.wire import Message

_LATE: Final = TempError("no answer in time")


class Asked(Protocol):
    """Whoever can be asked: what it knows, and a future for what it does not."""

    def known(self, question: Question, /) -> Response | None:
        """The answer that is there already."""

    def asked(self, question: Question, /) -> asyncio.Future[Message]:
        """The answer that will be."""


class Inquiry(Generic[Verdict]):
    """Goes on with a check whose question nobody could answer at once; `verdict` is a future."""

    __slots__ = ("_asked", "_check", "_ended", "_late", "_mistaken", "_timer", "verdict")

    def __init__(
        self,
        asked: Asked,
        check: Questions[Verdict],
        question: Question,
        until: float,
        mistaken: Callable[[Exception], Verdict] | None,
    ) -> None:
        """See Resolver.begin; `question` is the one that the check waits for."""
        loop = asyncio.get_running_loop()
        self.verdict: asyncio.Future[Verdict] = loop.create_future()
        self._asked = asked
        self._check = check
        self._mistaken = mistaken
        self._late = self._ended = False
        self._timer = loop.call_at(until, self._time_is_up)
        self._wait_for(question)

    def _wait_for(self, question: Question) -> None:
        self._asked.asked(question).add_done_callback(self._answered)

    def _answered(self, answer: asyncio.Future[Message]) -> None:
        if self._ended:
            return
        if answer.cancelled():
            self._end(self.verdict.cancel)
        else:
            self._go_on(answer.result().response)

    def _time_is_up(self) -> None:
        """What nobody has answered by now counts as unanswered."""
        self._late = True
        self._go_on(_LATE)

    def _go_on(self, response: Response) -> None:
        try:
            while True:
                question = self._check.send(response)
                known = self._asked.known(question)
                if known is None and not self._late:
                    self._wait_for(question)
                    return
                response = _LATE if known is None else known
        except StopIteration as end:
            self._end(partial(self.verdict.set_result, end.value))
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if self._mistaken is None:
            self._end(partial(self.verdict.set_exception, error))
        else:
            self._end(partial(self.verdict.set_result, self._mistaken(error)))

    def _end(self, settle: Callable[[], object]) -> None:
        self._ended = True
        self._timer.cancel()
        if not self.verdict.done():  # nobody has cancelled it
            settle()
