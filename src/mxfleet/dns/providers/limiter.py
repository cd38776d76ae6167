"""How fast requests may leave: a sliding window, and pauses that the other side asks for; the clock is given.

Cloudflare counts 1,200 requests in five minutes over all tokens and the dashboard of a user, and then refuses
everything for five minutes; some room is left for whoever is looking at the dashboard.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

REQUESTS, WINDOW = 1_150, 300.0


@dataclass(slots=True)
class Limiter:
    """Call `wait()` before each request."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    requests: int = REQUESTS
    window: float = WINDOW
    waited: float = 0.0
    _sent: deque[float] = field(default_factory=deque)
    _not_before: float = 0.0

    def wait(self) -> None:
        """Sleep until one more request is within the limit, then count it."""
        now = self.clock()
        until = self._not_before
        while self._sent and self._sent[0] <= now - self.window:
            self._sent.popleft()
        if len(self._sent) >= self.requests:
            until = max(until, self._sent[len(self._sent) - self.requests] + self.window)
        if until > now:
            self.waited += until - now
            self.sleep(until - now)
            now = self.clock()
        self._sent.append(now)

    def pause(self, seconds: float) -> None:
        """Send nothing for so long: the other side said so."""
        self._not_before = max(self._not_before, self.clock() + seconds)
