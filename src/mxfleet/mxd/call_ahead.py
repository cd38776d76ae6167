"""Whether a next hop knows a recipient: asked by RCPT while the client waits, remembered, each address once at a time.

A recipient that the next hop would refuse is refused before DATA, so that no bounce has to be written to somebody
who may never have sent anything.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal

import msgspec

from mxfleet.mail.address import Mailbox
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.delivery import RecipientResult
from mxfleet.mxd.observe import Log
from mxfleet.mxd.policy import NO_SUCH_MAILBOX
from mxfleet.mxd.receiving_settings import CallAheadSettings

AT_ONCE: Final = 20  # probes of one process
DOWN: Final = 30.0  # seconds for which a domain whose next hop did not answer is not asked about again
NOT_NOW: Final = Reply(451, "4.4.1", "Whether this mailbox exists is not known for now, try again later")


class Answer(msgspec.Struct, frozen=True):
    """What is known of a recipient; `unreachable` is what nobody could say."""

    state: Literal["known", "unknown", "unreachable"]
    words: str = ""


class Kept(msgspec.Struct, frozen=True):
    """An answer, until when it holds, and until when it does where nobody can be asked (monotonic seconds)."""

    answer: Answer
    until: float
    stale: float


Probe = Callable[[Mailbox], Awaitable[RecipientResult]]


def read(result: RecipientResult) -> Answer:
    """What the outcome of a probe says about a recipient: only an answer to RCPT says anything."""
    words = str(result.reply)
    if result.status == "delivered":
        return Answer("known", words)
    if result.status == "failed" and result.stage == "rcpt" and result.remote:
        return Answer("unknown", words)
    return Answer("unreachable", words)


class CallAhead:
    """Of one process."""

    def __init__(
        self, settings: CallAheadSettings, probe: Probe, log: Log, clock: Callable[[], float] | None = None
    ) -> None:
        """`probe` asks the next hop of a mailbox's domain; `clock` is monotonic."""
        self._settings = settings
        self._probe = probe
        self._log = log
        self._clock = clock or asyncio.get_running_loop().time
        self._kept: dict[str, Kept] = {}
        self._asking: dict[str, asyncio.Task[Answer]] = {}
        self._down: dict[str, float] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)

    def known(self, mailbox: Mailbox) -> Answer | None:
        """What is known without asking anybody, None where it has to be asked."""
        kept, now = self._kept.get(mailbox.canonical), self._clock()
        if kept is not None and now < kept.until:
            return kept.answer
        if now < self._down.get(mailbox.domain, 0.0):
            return self._without(kept, now, "it did not answer a moment ago")
        return None

    async def ask(self, mailbox: Mailbox) -> Answer:
        """The answer; who asks the same while it is being asked waits for the same answer. Never raises."""
        if (found := self.known(mailbox)) is not None:
            return found
        key = mailbox.canonical
        task = self._asking.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(mailbox))
            self._asking[key] = task
        return await asyncio.shield(task)

    def verdict(self, mailbox: Mailbox, answer: Answer) -> tuple[Mailbox, ...] | Reply:
        """What follows: where mail for it goes, or the refusal."""
        if answer.state == "known":
            return (mailbox,)
        if answer.state == "unknown":
            return NO_SUCH_MAILBOX
        return (mailbox,) if self._settings.unreachable == "accept" else NOT_NOW

    async def close(self) -> None:
        """Ask nobody any more."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _ask(self, mailbox: Mailbox) -> Answer:
        asked = False
        try:
            async with asyncio.timeout(self._settings.timeout), self._turn:
                if (found := self.known(mailbox)) is not None:  # its next hop was found down meanwhile
                    return found
                asked = True
                answer = read(await self._probe(mailbox))
        except TimeoutError:
            answer = Answer("unreachable", "no answer in time" if asked else "others took too long")
        except Exception as error:  # a mistake of ours; a client waits
            self._log.error("mistake in mxd", recipient=str(mailbox), exception=error)
            answer = Answer("unreachable", "this host could not ask")
        finally:
            del self._asking[mailbox.canonical]
        return self._learn(mailbox, answer, asked=asked)

    def _learn(self, mailbox: Mailbox, answer: Answer, *, asked: bool) -> Answer:
        """Keep an answer; a next hop that was not even asked has failed nobody."""
        key, now = mailbox.canonical, self._clock()
        if answer.state == "unreachable":
            if asked:
                self._miss(mailbox.domain, answer, now)
            return self._without(self._kept.get(key), now, answer.words)
        self._found(mailbox.domain)
        self._keep(key, answer, now)
        return answer

    def _without(self, kept: Kept | None, now: float, words: str) -> Answer:
        """Nobody can be asked: who was known a while ago still is."""
        if kept is not None and kept.answer.state == "known" and now < kept.stale:
            return kept.answer
        return Answer("unreachable", words)

    def _keep(self, key: str, answer: Answer, now: float) -> None:
        settings = self._settings
        holds = settings.positive if answer.state == "known" else settings.negative
        self._kept.pop(key, None)
        self._kept[key] = Kept(answer, now + holds, now + max(holds, settings.stale))
        while len(self._kept) > settings.most:
            del self._kept[next(iter(self._kept))]

    def _miss(self, domain: str, answer: Answer, now: float) -> None:
        if domain not in self._down:
            then = self._settings.unreachable
            self._log.warning("next hop cannot be asked", domain=domain, reason=answer.words, policy=then)
        self._down.pop(domain, None)
        self._down[domain] = now + DOWN
        while len(self._down) > self._settings.most:
            del self._down[next(iter(self._down))]

    def _found(self, domain: str) -> None:
        if self._down.pop(domain, None) is not None:
            self._log.info("next hop answers again", domain=domain)
