"""Delays double, never end beyond the message's time, and end."""

from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mxd.schedule import delay, next_due
from mxfleet.mxd.settings import RetrySettings

RETRY = RetrySettings(first=300, longest=14_400, lifetime=432_000)


def test_delays_double_up_to_the_longest() -> None:
    assert [delay(n, RETRY) for n in (1, 2, 3, 6, 7, 8)] == [300, 600, 1200, 9600, 14_400, 14_400]


def test_a_hundred_years_of_attempts_have_a_delay() -> None:
    assert delay(10**9, RETRY) == 14_400


def test_the_last_try_is_when_the_time_is_up_and_none_after_it() -> None:
    assert next_due(1000.0, 3, expires=1500.0, retry=RETRY) == 1500.0
    assert next_due(1500.0, 4, expires=1500.0, retry=RETRY) is None


@given(st.integers(1, 20_000), st.integers(1, 90_000), st.integers(1, 9_000_000))
def test_every_message_is_tried_until_its_end_and_never_longer(
    first: int, longest: int, lifetime: int
) -> None:
    retry = RetrySettings(first=first, longest=longest, lifetime=lifetime)
    now, attempts, expires = 0.0, 1, float(lifetime)
    for attempts in range(1, 60):
        due = next_due(now, attempts, expires, retry)
        if due is None:
            assert now == expires
            break
        assert now < due <= expires
        now = due
