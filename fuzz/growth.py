"""Whether time grows faster than the input: seeds are blown up eightfold, part by part, and timed."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from fuzz.targets import TARGETS, seeds

SMALL, LARGE = 4_000, 32_000
"""Octets: what a hostile header or command can be long; eight times as much may take so many times as long."""
FACTOR, NOTICEABLE = 24.0, 0.05
"""Linear is 8, quadratic 64; below so many seconds nothing is measured but noise."""
WIDTHS = (1, 2, 3, 7, 24)
STEPS = 12


@dataclass(frozen=True, slots=True)
class Growth:
    """An input that took much longer than its size: seconds for the small and the large one."""

    target: str
    seed: str
    unit: bytes
    small: float
    large: float


def suspects(name: str) -> Iterator[Growth]:
    """Each seed, with each of some of its pieces repeated where it stands."""
    for seed in seeds(name):
        octets = seed.read_bytes()
        for at, unit in _units(octets):
            small, large = (_seconds(name, _blown(octets, at, unit, size)) for size in (SMALL, LARGE))
            if large > NOTICEABLE and large > FACTOR * small:
                again = [_seconds(name, _blown(octets, at, unit, size)) for size in (SMALL, LARGE)]
                if again[1] > FACTOR * again[0]:  # not once by chance
                    yield Growth(name, seed.name, unit, again[0], again[1])


def _units(octets: bytes) -> Iterator[tuple[int, bytes]]:
    done: set[bytes] = set()
    for at in range(0, len(octets), max(1, len(octets) // STEPS)):
        for width in WIDTHS:
            unit = octets[at : at + width]
            if unit and unit not in done:
                done.add(unit)
                yield at, unit


def _blown(octets: bytes, at: int, unit: bytes, size: int) -> bytes:
    return octets[:at] + unit * (size // len(unit)) + octets[at:]


def _seconds(name: str, octets: bytes) -> float:
    begun = time.process_time()
    TARGETS[name](octets)
    return time.process_time() - begun
