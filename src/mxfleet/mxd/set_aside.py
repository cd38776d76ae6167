"""Next hops that failed are left alone for a while: another one of the same domain is asked first."""

from collections.abc import Hashable, Sequence
from typing import Final, TypeVar

Hop = TypeVar("Hop", bound=Hashable)

REMEMBERED: Final = 10_000  # hosts that are kept in mind


class SetAside:
    """Which hosts gave no session lately; it reads no clock."""

    def __init__(self, seconds: float) -> None:
        """`seconds` is how long a host is left alone after a failure."""
        self._seconds = seconds
        self._until: dict[Hashable, float] = {}

    def learn(self, hop: Hashable, works: bool, now: float) -> float:
        """Keep in mind whether a host gave a session; the seconds for which it is newly set aside, else 0."""
        if works:
            self._until.pop(hop, None)
            return 0.0
        news = self._until.pop(hop, 0.0) <= now
        self._until[hop] = now + self._seconds
        if len(self._until) > REMEMBERED:
            del self._until[next(iter(self._until))]
        return self._seconds if news else 0.0

    def last(self, hops: Sequence[Hop], now: float) -> list[Hop]:
        """The same hosts: those that are not set aside first, the others by how soon they would be tried again."""
        if not self._until:
            return list(hops)
        return sorted(hops, key=lambda hop: max(self._until.get(hop, 0.0) - now, 0.0))
