"""What a courier had sent up to the final dot, as the next one finds it."""

from pathlib import Path

import pytest

from mxfleet.mxd import final_dots
from mxfleet.mxd.final_dots import FinalDots


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "final-dots"


def test_what_was_sent_and_is_not_over_may_arrive_twice_and_nothing_else(path: Path) -> None:
    dots = FinalDots(path)
    dots.sent([7, 8, 2**60])
    dots.sent([8])
    dots.over([7, 9])
    after = FinalDots(path)
    assert after.before == frozenset({8, 2**60})
    assert [after.may_have_been_sent(number) for number in (7, 8, 0)] == [False, True, False]
    assert FinalDots(path).before == frozenset()


@pytest.mark.parametrize("octets", [None, b"", b"\1" * 100])
def test_without_a_memory_all_may_have_been_sent(path: Path, octets: bytes | None) -> None:
    if octets is not None:
        path.write_bytes(octets)
    dots = FinalDots(path)
    assert dots.may_have_been_sent(1)
    assert FinalDots(path).before == frozenset()


def test_more_than_there_are_slots_for_count_all_and_slots_are_used_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(final_dots, "SLOTS", 4)
    dots = FinalDots(path)
    for number in range(1, 100):
        dots.sent([number])
        dots.over([number])
    dots.sent([101, 102, 103])
    again = FinalDots(path)
    assert again.before == frozenset({101, 102, 103})
    again.sent([1, 2, 3, 4])
    assert FinalDots(path).may_have_been_sent(99)
