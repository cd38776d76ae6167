"""Trace ids: unique, sorted by time, short."""

import re

from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mxd.trace import TraceIds


def test_an_id_is_short_and_names_its_node() -> None:
    assert re.fullmatch(r"[0-9a-hjkmnp-tv-z]{14}-mx1", TraceIds("mx1", 1, lambda: 1_800_000_000.0)())


@given(st.lists(st.floats(1.7e9, 1.8e9), min_size=1, max_size=50))
def test_ids_of_a_process_ascend_even_if_the_clock_is_set_back(times: list[float]) -> None:
    clock = iter([t for t in times for _ in range(30)])
    make = TraceIds("mx1", 1, lambda: next(clock))
    ids = [make()[:12] for _ in range(30 * len(times))]
    assert ids == sorted(set(ids))


def test_more_ids_than_fit_a_millisecond_are_still_different() -> None:
    make = TraceIds("mx1", 1, lambda: 1_800_000_000.0)
    assert len({make()[:12] for _ in range(5000)}) == 5000


def test_processes_of_a_node_never_make_the_same_id() -> None:
    one, two = (TraceIds("mx1", n, lambda: 1_800_000_000.0) for n in (1, 2))
    assert {one()[:12] for _ in range(100)}.isdisjoint({two()[:12] for _ in range(100)})
