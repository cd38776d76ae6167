"""Replies leave at the end of the loop's turn, all together."""

import asyncio
from collections.abc import Callable


class Outbox:
    """Who has something to say to a client.

    A reply that leaves at once wakes its client while others wait for theirs, and the two processes take the CPU from
    each other reply by reply; many that leave one after the other wake it once (measured: 5 % of the CPU time).
    """

    def __init__(self) -> None:
        self._speakers: list[Callable[[], None]] = []

    def add(self, speaker: Callable[[], None]) -> None:
        """Have it called when everybody has been listened to."""
        if not self._speakers:
            asyncio.get_running_loop().call_soon(self.empty)
        self._speakers.append(speaker)

    def empty(self) -> None:
        """Have all of them speak now."""
        speakers, self._speakers = self._speakers, []
        for speak in speakers:
            speak()
