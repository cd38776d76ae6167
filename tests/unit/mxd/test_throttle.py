"""Guessing passwords: by user and address, in whatever process, and the user himself is not kept out."""

import pytest

from mxfleet.mxd.limits_settings import LimitSettings
from mxfleet.mxd.shared_table import SharedTables
from mxfleet.mxd.throttle import KNOWN, LoginThrottle
from tests.unit.mxd.test_shared_table import Clock

SETTINGS = LimitSettings(login_failures_per_user=3, login_failures_per_address=6, login_pause=60.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def workers(clock: Clock) -> list[LoginThrottle]:
    tables = SharedTables(2)
    return [LoginThrottle(SETTINGS, tables.of(number, clock), clock) for number in range(2)]


def test_each_failure_beyond_the_allowed_ones_doubles_the_pause(
    clock: Clock, workers: list[LoginThrottle]
) -> None:
    assert [workers[n % 2].begin("alice", f"192.0.2.{n}") for n in range(3)] == [0, 0, 0]
    assert workers[0].begin("ALICE", "192.0.2.9") == pytest.approx(1.0)
    clock.now += 1.0
    assert workers[1].begin("alice", "192.0.2.9") == 0
    assert workers[0].begin("alice", "192.0.2.9") == pytest.approx(2.0)
    for _ in range(20):
        clock.now += 61
        assert workers[0].begin("alice", "192.0.2.10") == 0
        clock.now += 0  # at once again
    assert workers[1].begin("alice", "192.0.2.11") == pytest.approx(60.0)


def test_an_address_is_slowed_down_whatever_user_it_tries(workers: list[LoginThrottle]) -> None:
    assert [workers[n % 2].begin(f"user{n}", "192.0.2.1") for n in range(6)] == [0] * 6
    assert workers[1].begin("another", "192.0.2.1") > 0
    assert workers[1].begin("another", "192.0.2.2") == 0


def test_many_at_once_are_no_way_around(workers: list[LoginThrottle]) -> None:
    begun = [workers[n % 2].begin("alice", f"192.0.2.{n}") for n in range(100)]
    assert begun.count(0) == 3


def test_success_forgives_the_user_and_not_those_who_guess_from_there(workers: list[LoginThrottle]) -> None:
    for n in range(5):
        workers[0].begin(f"user{n}", "192.0.2.1")
    assert workers[0].begin("alice", "192.0.2.1") == 0
    workers[0].succeeded("alice", "192.0.2.1")
    assert workers[1].begin("bob", "192.0.2.1") == 0
    assert workers[1].begin("bob", "192.0.2.1") > 0


def test_strangers_do_not_keep_a_user_out_of_where_he_has_come_in_before(
    clock: Clock, workers: list[LoginThrottle]
) -> None:
    assert workers[0].begin("alice", "192.0.2.1") == 0
    workers[0].succeeded("alice", "192.0.2.1")
    for n in range(30):
        workers[1].begin("alice", f"198.51.100.{n}")
    assert workers[1].begin("alice", "198.51.100.200") > 0
    assert workers[1].begin("alice", "192.0.2.1") == 0
    clock.now += KNOWN + 1
    for n in range(30):
        workers[1].begin("alice", f"198.51.100.{n}")
    assert workers[1].begin("alice", "192.0.2.1") > 0


def test_a_limit_of_nought_is_none(clock: Clock) -> None:
    settings = LimitSettings(login_failures_per_user=0, login_failures_per_address=0)
    throttle = LoginThrottle(settings, SharedTables(1).of(0, clock), clock)
    assert {throttle.begin("alice", "192.0.2.1") for _ in range(50)} == {0.0}
