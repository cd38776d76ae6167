"""The event loop's selector for a crowd: what is ready within a moment is handled together.

Each turn of the loop costs as much as the work for one event, and a context switch. Where many connections are busy, a
moment's sleep lets their events come together; where few are open, or little happens, nobody waits.
"""

import selectors
import time
from typing import Final

CROWD: Final = 16  # descriptors from which on it is one: a session by itself never waits
FEW: Final = 8  # events that are not worth a turn
BUSY: Final = 0.002  # seconds since the last events, beyond which nothing is to be expected in a moment


class Selector(selectors.EpollSelector):
    """epoll(7), level-triggered: events that were seen before the pause are seen again behind it."""

    def __init__(self, pause: float) -> None:
        """`pause` is the moment, in seconds."""
        super().__init__()
        self._pause = pause
        self._last = float("-inf")

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As any selector's; a `timeout` of 0 says that the loop has other work, and never waits."""
        found = super().select(timeout)
        if timeout != 0 and 0 < len(found) < FEW and self._is_crowded():
            time.sleep(self._pause)
            found = super().select(0)
        if found:
            self._last = time.monotonic()
        return found

    def _is_crowded(self) -> bool:
        return len(self.get_map()) >= CROWD and time.monotonic() - self._last < BUSY
