"""Counts that processes share: added up, bounded, and cleared of those who died."""

import timeit

from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mxd.shared_table import ENTRIES, FORGOTTEN, SharedTables
from mxfleet.mxd.shares import Strikes

KEYS = st.sampled_from(["a", "b", "c"])


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_present_in_one_process_is_seen_in_the_other() -> None:
    tables = SharedTables(2)
    one, two = tables.of(0), tables.of(1)
    assert [one.enter("a"), two.enter("a"), two.enter("b"), one.enter("a")] == [1, 2, 1, 3]
    two.leave("a")
    assert (one.present("a"), two.present("a"), two.present("b")) == (2, 2, 1)


@given(st.lists(st.tuples(st.integers(0, 2), KEYS, st.booleans()), max_size=60))
def test_present_is_who_entered_and_has_not_left(steps: list[tuple[int, str, bool]]) -> None:
    tables = SharedTables(3)
    processes = [tables.of(number) for number in range(3)]
    here: dict[tuple[int, str], int] = {}
    for process, key, enters in steps:
        if enters:
            here[process, key] = here.get((process, key), 0) + 1
            processes[process].enter(key)
        elif here.get((process, key)):
            here[process, key] -= 1
            processes[process].leave(key)
        for each in processes:
            assert each.present(key) == sum(n for (_, k), n in here.items() if k == key)


def test_what_was_present_in_a_process_that_died_is_not() -> None:
    tables = SharedTables(2)
    one, two = tables.of(0), tables.of(1)
    one.enter("a")
    two.enter("a")
    assert tables.of(1).present("a") == 1
    assert one.enter("a") == 2


def test_a_leave_too_many_counts_nothing() -> None:
    one = SharedTables(1).of(0)
    one.leave("a")
    one.enter("a")
    one.leave("a")
    one.leave("a")
    assert one.present("a") == 0


def test_a_rate_is_that_of_all_processes_in_the_last_seconds() -> None:
    clock, tables = Clock(), SharedTables(2)
    clock.now = 600.0
    one, two = tables.of(0, clock), tables.of(1, clock)
    for _ in range(10):
        one.count("a", 60)
    assert two.count("a", 60, 5) == 15
    clock.now = 630.0
    assert one.count("a", 60) == 16
    clock.now = 675.0  # three quarters of the last window are within the last minute
    assert one.count("a", 60) == 1 + 16 * 0.75
    clock.now = 800.0
    assert two.count("a", 60) == 1


def test_rates_outlive_a_process() -> None:
    clock, tables = Clock(), SharedTables(2)
    tables.of(0, clock).count("a", 60, 7)
    assert tables.of(0, clock).count("a", 60) == 8


def test_failures_are_added_up_and_forgiven_everywhere() -> None:
    clock, tables = Clock(), SharedTables(2)
    one, two = tables.of(0, clock), tables.of(1, clock)
    assert one.strikes("a") == Strikes()
    one.strike("a")
    clock.now += 2
    two.strike("a")
    two.strike("a")
    assert one.strikes("a") == Strikes(3, clock.now)
    one.forgive("a", 2)
    assert two.strikes("a").count == 1
    one.forgive("a")
    assert two.strikes("a") == Strikes()


def test_old_failures_count_no_more() -> None:
    clock = Clock()
    one = SharedTables(1).of(0, clock)
    one.strike("a")
    clock.now += FORGOTTEN + 1
    assert one.strikes("a") == Strikes()
    one.strike("a")
    assert one.strikes("a").count == 1


def test_memory_is_bounded_and_who_is_present_is_not_forgotten_for_who_comes() -> None:
    one = SharedTables(1).of(0)
    assert one.enter("first") == 1
    for number in range(3 * ENTRIES):
        one.enter(f"x{number}")
    assert one.enter("first") == 2


def test_the_least_recent_failures_go_first() -> None:
    clock = Clock()
    one = SharedTables(1).of(0, clock)
    for number in range(2 * ENTRIES):
        clock.now += 0.001
        one.strike(f"x{number}")
    kept = [number for number in range(2 * ENTRIES) if one.strikes(f"x{number}").count]
    assert len(kept) <= ENTRIES
    assert one.strikes(f"x{2 * ENTRIES - 1}").count == 1


def test_a_connection_costs_microseconds() -> None:
    tables = SharedTables(5)
    one = tables.of(1)

    def connection() -> None:
        for key in ("address 192.0.2.1", "prefix 192.0.2.0/24"):
            one.enter(key)
            one.count(key, 60)
            one.leave(key)

    assert min(timeit.repeat(connection, number=100, repeat=20)) / 100 < 500e-6  # 15 us on a quiet machine
