"""How many attempts may run to one destination at once: more while it goes well, half when it does not."""

from typing import Final

BEGIN: Final = 5  # attempts at once to a destination that nothing is known of
DEAD: Final = 3  # attempts in a row without a session after which the others need not find out for themselves


class Window:
    """Additive increase, multiplicative decrease (as TCP's, RFC 5681), between 1 and `most`.

    What counts as failure is a session that could not be had or was lost, never a refused recipient.
    """

    def __init__(self, most: int, longest: float) -> None:
        """`longest`: seconds for which a dead destination is left alone, at most."""
        self._most = float(max(most, 1))
        self._longest = longest
        self._limit = min(float(BEGIN), self._most)
        self._failures = 0
        self._until = 0.0

    @property
    def limit(self) -> int:
        """Attempts that may run at once."""
        return int(self._limit)

    def success(self) -> None:
        """A session was had: one more after as many successes as may run at once."""
        self._limit = min(self._limit + 1 / self._limit, self._most)
        self._failures = 0

    def failure(self, now: float) -> None:
        """No session; after some in a row the destination is left alone, each time for twice as long."""
        self._limit = max(self._limit / 2, 1.0)
        self._failures += 1
        if self._failures >= DEAD:
            self._until = now + min(5.0 * 2.0 ** min(self._failures - DEAD, 16), self._longest)

    def forget(self) -> None:
        """Somebody who knows says that it is worth a try."""
        self._failures, self._until = 0, 0.0

    def pause(self, now: float) -> float:
        """Seconds for which nothing is to be tried; 0 where it may."""
        return max(self._until - now, 0.0)


class Pace:
    """A rate: `per_minute` beginnings, evenly; 0 is no limit."""

    def __init__(self, per_minute: float) -> None:
        self._gap = 60.0 / per_minute if per_minute > 0 else 0.0
        self._next = 0.0

    def wait(self, now: float) -> float:
        """Seconds until another may begin."""
        return max(self._next - now, 0.0)

    def begin(self, now: float) -> None:
        """One begins now."""
        self._next = max(self._next, now) + self._gap
