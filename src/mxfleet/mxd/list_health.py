"""Whether DNS lists may be used: their test entries are asked for now and then (RFC 5782 §5), and the log says once.

A list that is dead would make every client wait, one that lists everybody would refuse all mail.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from mxfleet.mail.dnsbl import DnsList, check_list
from mxfleet.mail.questions import Questions
from mxfleet.mxd.observe import Log

WELL: Final = 3600.0  # seconds until a list that works is looked at again
ILL: Final = 300.0  # until one that does not
PATIENCE: Final = 20.0  # for the answers


class ListHealth:
    """Of the lists of one process; where they are watched, none is used before it was looked at."""

    def __init__(self, lists: Iterable[DnsList], log: Log | None) -> None:
        """`log` is that of the one process that tells, None for the others."""
        self.lists = tuple(lists)
        self.usable = self.lists
        self._log = log
        self._wrong: dict[str, str] = {}
        self._unseen: set[str] = set()

    def learn(self, found: DnsList, problem: str) -> None:
        """What looking at a list came to, "" where it may be used."""
        before = self._wrong.pop(found.zone, "")
        self._unseen.discard(found.zone)
        if problem:
            self._wrong[found.zone] = problem
        away = self._unseen.union(self._wrong)
        self.usable = tuple(each for each in self.lists if each.zone not in away)
        if self._log is None or bool(problem) == bool(before):
            return
        if problem:
            self._log.error("DNS list not used", list=found.zone, reason=problem)
        else:
            self._log.info("DNS list used again", list=found.zone)

    @property
    def pause(self) -> float:
        """Seconds until they are to be looked at again."""
        return ILL if self._wrong else WELL

    async def watch(self, run: Callable[[Questions[str], float], Awaitable[str]]) -> None:
        """Look at all of them, for ever; `run` has a check's questions answered until a time of the loop's clock."""
        self.usable = ()
        self._unseen = {each.zone for each in self.lists}
        while self.lists:
            await asyncio.gather(*(self._look(each, run) for each in self.lists))
            await asyncio.sleep(self.pause)

    async def _look(self, each: DnsList, run: Callable[[Questions[str], float], Awaitable[str]]) -> None:
        until = asyncio.get_running_loop().time() + PATIENCE
        try:
            problem = await run(check_list(each), until)
        except Exception as error:  # a mistake of ours: the list is not to be trusted then
            problem = f"this host could not look at it: {error}"
        self.learn(each, problem)
