"""What the fuzzer begins with, and what it ever found, is played again: no target says anything of it."""

from pathlib import Path

import pytest

from fuzz.targets import SEEDS, TARGETS, seeds

FILES = [(name, file) for name in TARGETS for file in seeds(name)]


@pytest.mark.parametrize(("name", "file"), FILES, ids=lambda part: getattr(part, "name", part))
def test_a_seed_passes(name: str, file: Path) -> None:
    TARGETS[name](file.read_bytes())


def test_each_target_has_seeds_and_no_seed_is_without_a_target() -> None:
    assert {path.name for path in SEEDS.iterdir()} == set(TARGETS)
    assert min(len(seeds(name)) for name in TARGETS) >= 3


@pytest.mark.parametrize("name", TARGETS)
def test_no_target_minds_nothing_or_noise(name: str) -> None:
    for octets in (b"", b"\0", b"\xff" * 64, bytes(range(256))):
        TARGETS[name](octets)
