"""Trace ids: the short name under which a message is known to its sender, in its headers and in every log line."""

import secrets
from collections.abc import Callable

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # base 32 without i, l, o, u: can be read out on the telephone
_PAIRS = tuple(high + low for high in ALPHABET for low in ALPHABET)
PER_MILLISECOND = 1024


class TraceIds:
    """Makes ids such as `0d7k2m9qxr00z8-mx1`: milliseconds, process, count, chance, node.

    They sort by time; they are unique by construction within a process, by process number within a node, by
    name within a fleet, and by chance should a clock have been set back.
    """

    def __init__(self, node: str, process: int, clock: Callable[[], float]) -> None:
        """`process` is 0 to 31; `clock` gives seconds since the epoch."""
        self._suffix = f"-{node}"
        self._process = ALPHABET[process % 32]
        self._clock = clock
        self._millisecond = 0
        self._count = 0
        self._chance = b""

    def __call__(self) -> str:
        """The next id."""
        now = int(self._clock() * 1000)
        if now > self._millisecond:
            self._millisecond, self._count = now, 0
        elif self._count + 1 < PER_MILLISECOND:
            self._count += 1
        else:  # more than there is room for, or a clock set back: borrow from the future
            self._millisecond, self._count = self._millisecond + 1, 0
        if not self._chance:
            self._chance = secrets.token_bytes(1024)  # one system call for many ids
        chance = self._chance[0] << 2 & 1023 | self._chance[1] & 3
        self._chance = self._chance[2:]
        return (
            f"{_base32(self._millisecond)}{self._process}{_PAIRS[self._count]}{_PAIRS[chance]}{self._suffix}"
        )


def _base32(number: int) -> str:
    """Nine digits."""
    pairs = _PAIRS[number >> 30 & 1023] + _PAIRS[number >> 20 & 1023] + _PAIRS[number >> 10 & 1023]
    return ALPHABET[number >> 40 & 31] + pairs + _PAIRS[number & 1023]
