"""`Shares` between the processes of a node: memory from before the fork, a region for each process, no lock.

Each process writes only its own region and adds up what it finds in all of them, so that a process that dies
leaves nothing locked, and nothing counted: its successor clears what was present in its region. Only `forgive`
writes into the regions of others; at the worst a failure counted in that moment is lost.

A table of one region is an array of sets of WAYS entries; a key has its set, and a place in it. Where a set is full
the entry that was used least recently goes, for what is present now never. So memory is bounded, whatever comes.
"""

import mmap
import time
from collections.abc import Callable
from typing import Final

from mxfleet.mxd.shares import Strikes

SETS: Final = 1024
WAYS: Final = 8
ENTRIES: Final = SETS * WAYS  # of one kind, in one process
_COLUMNS: Final = 4  # key, and three numbers
_KINDS: Final = 5  # present, rates, slow rates, failures, what is remembered
REGION: Final = _KINDS * _COLUMNS * ENTRIES * 8  # octets of one process; those never used cost nothing
SLOW: Final = 600  # seconds from which on a rate is kept apart, for a flood of fast ones would push it out
FORGOTTEN: Final = 3600.0  # seconds after which failures count no more
_MS: Final = 1000


class SharedTables:
    """The memory; to be made before forking, with a region for each process."""

    def __init__(self, processes: int) -> None:
        self._memory = mmap.mmap(-1, processes * REGION)
        self.cells = memoryview(self._memory).cast("q")
        self.processes = processes

    def of(self, process: int, clock: Callable[[], float] = time.monotonic) -> "SharedShares":
        """The counts as one process sees them; none is present in it yet. `clock` is one for all processes."""
        return SharedShares(self, process, clock)


class SharedShares:
    """Implements `Shares`; for one thread of one process."""

    def __init__(self, tables: SharedTables, process: int, clock: Callable[[], float]) -> None:
        """See SharedTables.of."""
        kinds = [_Table(tables, process, kind) for kind in range(_KINDS)]
        self._present, self._rates, self._slow, self._failures, self._good = kinds
        self._present.clear()
        self._clock = clock

    def enter(self, key: str) -> int:
        """See Shares; where there is no place to count, one."""
        table, number = self._present, _number(key)
        at = table.place(number, in_use=True)
        if at < 0:
            return 1
        table.first[at] += 1
        return sum(table.first[found] for found in table.all(number))

    def leave(self, key: str) -> None:
        """See Shares."""
        table = self._present
        at = table.find(_number(key))
        if at >= 0 and table.first[at] > 0:
            table.first[at] -= 1

    def present(self, key: str) -> int:
        """See Shares."""
        table = self._present
        return sum(table.first[found] for found in table.all(_number(key)))

    def count(self, key: str, seconds: int, amount: int = 1) -> float:
        """See Shares; two windows, the older one counted by the part of it that is still within the time."""
        now = self._clock()
        window, number = int(now // seconds), _number(key)
        table = self._rates if seconds < SLOW else self._slow
        at = table.place(number)
        _turn(table, at, window)
        table.second[at] += amount
        share = 1.0 - (now / seconds - window)
        total = 0.0
        for found in table.all(number):
            behind = window - table.first[found]
            if behind == 0:
                total += table.second[found] + share * table.third[found]
            elif behind == 1:
                total += share * table.second[found]
        return total

    def strike(self, key: str) -> None:
        """See Shares."""
        table, now = self._failures, int(self._clock() * _MS)
        at = table.place(_number(key))
        if now - table.first[at] > FORGOTTEN * _MS:
            table.second[at] = 0
        table.first[at] = now
        table.second[at] += 1

    def strikes(self, key: str) -> Strikes:
        """See Shares."""
        table, since = self._failures, int((self._clock() - FORGOTTEN) * _MS)
        found = [at for at in table.all(_number(key)) if table.second[at] > 0 and table.first[at] >= since]
        if not found:
            return Strikes()
        return Strikes(sum(table.second[at] for at in found), max(table.first[at] for at in found) / _MS)

    def forgive(self, key: str, count: int = 0) -> None:
        """See Shares."""
        table, left = self._failures, count
        for at in table.all(_number(key)):
            taken = min(left, table.second[at]) if count else table.second[at]
            table.second[at] -= taken
            left -= taken

    def remember(self, key: str) -> None:
        """See Shares."""
        table = self._good
        table.first[table.place(_number(key))] = int(self._clock() * _MS)

    def remembers(self, key: str, seconds: float) -> bool:
        """See Shares."""
        table, since = self._good, int((self._clock() - seconds) * _MS)
        return any(table.first[at] >= since for at in table.all(_number(key)))


class _Table:
    """One kind of counts: those of all processes to be read, those of one to be written.

    `first` is what an entry's age is told by.
    """

    def __init__(self, tables: SharedTables, process: int, kind: int) -> None:
        self._cells = tables.cells
        width = _COLUMNS * ENTRIES
        self._starts = [(each * _KINDS + kind) * width for each in range(tables.processes)]
        self._own = self._starts[process]
        self.first = self._cells[ENTRIES:]
        self.second = self._cells[2 * ENTRIES :]
        self.third = self._cells[3 * ENTRIES :]

    def clear(self) -> None:
        """Nothing is counted in this process."""
        width = _COLUMNS * ENTRIES
        self._cells[self._own : self._own + width] = memoryview(bytes(8 * width)).cast("q")

    def find(self, number: int) -> int:
        """Where this process has an entry, -1 where it has none."""
        start = self._own + number % SETS * WAYS
        try:
            return start + self._cells[start : start + WAYS].tolist().index(number)
        except ValueError:
            return -1

    def all(self, number: int) -> list[int]:
        """Where any process has an entry."""
        found, offset, cells = [], number % SETS * WAYS, self._cells
        for each in self._starts:
            ways = cells[each + offset : each + offset + WAYS].tolist()
            if number in ways:
                found.append(each + offset + ways.index(number))
        return found

    def place(self, number: int, *, in_use: bool = False) -> int:
        """The entry of this process, made where there is none; -1 where all are `in_use` (not nought)."""
        at = self.find(number)
        if at >= 0:
            return at
        start = self._own + number % SETS * WAYS
        keys = self._cells[start : start + WAYS].tolist()
        ages = self.first[start : start + WAYS].tolist()
        way = keys.index(0) if 0 in keys else ages.index(min(ages))
        at = start + way
        if in_use and keys[way] and ages[way]:
            return -1
        self.first[at] = self.second[at] = self.third[at] = 0
        self._cells[at] = number
        return at


def _turn(table: _Table, at: int, window: int) -> None:
    """Begin a new window where the old one is over."""
    behind = window - table.first[at]
    if behind:
        table.third[at] = table.second[at] if behind == 1 else 0
        table.second[at] = 0
        table.first[at] = window


def _number(key: str) -> int:
    """A key as one number: the hash of text is keyed by chance, and the same in all processes that were forked."""
    return hash(key) or 1
