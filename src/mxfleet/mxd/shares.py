"""What is counted together: by the processes of this node today, by the nodes of a cluster one day.

The interface is small and never waits: whoever shares over nodes keeps a copy here and exchanges it beside.
"""

from typing import Protocol

import msgspec


class Strikes(msgspec.Struct, frozen=True):
    """How often something failed, and when it did last (seconds, monotonic); 0 for never."""

    count: int = 0
    last: float = 0.0


class Shares(Protocol):
    """Counts by key; a key is any text, and it is forgotten when nothing is counted by it."""

    def enter(self, key: str) -> int:
        """One more is here now; how many there are, all together."""

    def leave(self, key: str) -> None:
        """One that entered, in this process, has gone."""

    def present(self, key: str) -> int:
        """How many are here now."""

    def count(self, key: str, seconds: int, amount: int = 1) -> float:
        """Something happened; how often it did within the last `seconds`, these included."""

    def strike(self, key: str) -> None:
        """Something failed."""

    def strikes(self, key: str) -> Strikes:
        """How often, since it was last forgiven."""

    def forgive(self, key: str, count: int = 0) -> None:
        """Take back as many failures, 0 for all."""

    def remember(self, key: str) -> None:
        """Something good happened."""

    def remembers(self, key: str, seconds: float) -> bool:
        """Whether it did within the last `seconds`."""
