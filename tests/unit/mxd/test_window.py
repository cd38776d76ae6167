"""How many at once: more while it goes well, fewer when it does not."""

from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mxd.window import BEGIN, Pace, Window


def test_a_window_opens_by_one_a_round_and_halves_at_a_failure() -> None:
    window = Window(20, 60.0)
    assert window.limit == BEGIN
    for _ in range(6):
        window.success()
    assert window.limit == BEGIN + 1
    window.failure(0.0)
    assert window.limit == (BEGIN + 1) // 2
    assert window.pause(0.0) == 0.0


def test_a_destination_that_gives_no_session_thrice_is_left_alone_longer_each_time() -> None:
    window = Window(20, 60.0)
    pauses = []
    for _ in range(9):
        window.failure(1000.0)
        pauses.append(window.pause(1000.0))
    assert pauses == [0.0, 0.0, 5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0]
    assert window.pause(1059.0) == 1.0
    window.forget()
    assert window.pause(1000.0) == 0.0


@given(most=st.integers(1, 50), events=st.lists(st.booleans(), max_size=400))
def test_a_window_always_lets_one_try_and_never_more_than_it_may(most: int, events: list[bool]) -> None:
    window = Window(most, 60.0)
    for good in events:
        window.success() if good else window.failure(0.0)
        assert 1 <= window.limit <= most


def test_a_pace_spreads_beginnings_evenly() -> None:
    pace = Pace(60.0)
    assert pace.wait(10.0) == 0.0
    pace.begin(10.0)
    pace.begin(10.0)
    assert pace.wait(10.0) == 2.0
    assert Pace(0.0).wait(0.0) == 0.0
