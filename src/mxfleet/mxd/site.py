"""One destination as the dispatcher sees it: who waits there, what runs, and what it may have for now."""

from mxfleet.mxd.turns import Turns
from mxfleet.mxd.window import Pace, Window


class Site:
    """The hosts that several domains may share; every `now` is the caller's monotonic clock."""

    def __init__(self, key: str, window: Window, pace: Pace) -> None:
        self.key = key
        self.window = window
        self.pace = pace
        self.turns = Turns()
        self.waking = False  # somebody will look here when the pace lets another begin
        self.running = 0
        self.slow = 0  # of those running: without an answer for so long that others do not wait for them

    def free(self, now: float) -> bool:
        """Whether another attempt may begin."""
        return (
            bool(self.turns)
            and self.running < self.window.limit
            and not self.window.pause(now)
            and not self.pace.wait(now)
        )

    def full(self, now: float) -> bool:
        """Whether as much is here as it can use for now: what is running and as much again."""
        return self.running + len(self.turns) >= 2 * self.window.limit or self.is_closed(now)

    def is_closed(self, now: float) -> bool:
        """Whether nobody there gives us a session, or all that may run there hangs: nothing waits for it here."""
        return self.window.pause(now) > 0 or self.slow >= self.window.limit
