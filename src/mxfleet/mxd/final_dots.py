"""Deliveries whose final dot may have been sent and whose end is not written down: after a crash they may arrive twice.

They stand in memory that is a file, where a killed process leaves them; a sync for each would cost more than the
delivery. The file is in the runtime directory: it ends with the machine's own memory, and then nobody knows.
"""

import mmap
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

SLOTS: Final = 8_192  # deliveries, some for each attempt; where they do not suffice, all count
_CELL: Final = (
    8  # octets; the first says that there were more than slots, each other holds a delivery's number, or 0
)


class FinalDots:
    """Of the courier's process."""

    def __init__(self, path: Path) -> None:
        """Begin anew; `before` is what an earlier life left, None where nobody knows. Raises OSError."""
        self.before = _left(path)
        with path.open("w+b") as file:
            os.posix_fallocate(file.fileno(), 0, SLOTS * _CELL)  # a full disk must not show at a later write
            self._memory = mmap.mmap(file.fileno(), SLOTS * _CELL)
        self._cells = memoryview(self._memory).cast("q")
        self._free = list(range(SLOTS - 1, 0, -1))
        self._slots: dict[int, int] = {}

    def may_have_been_sent(self, delivery: int) -> bool:
        """Whether an earlier life may have sent all of a delivery that it had leased when it ended."""
        return self.before is None or delivery in self.before

    def sent(self, deliveries: Iterable[int]) -> None:
        """The final dot of these goes out now."""
        for delivery in deliveries:
            if delivery in self._slots:
                continue
            if not self._free:
                self._cells[0] = 1
                return
            slot = self._slots[delivery] = self._free.pop()
            self._cells[slot] = delivery

    def over(self, deliveries: Iterable[int]) -> None:
        """What became of these is written down."""
        for delivery in deliveries:
            slot = self._slots.pop(delivery, 0)
            if slot:
                self._cells[slot] = 0
                self._free.append(slot)


def _left(path: Path) -> frozenset[int] | None:
    try:
        octets = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(octets) != SLOTS * _CELL:
        return None
    cells = memoryview(octets).cast("q")
    return None if cells[0] else frozenset(cells) - {0}
