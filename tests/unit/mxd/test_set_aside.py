"""Hosts that failed are asked last for a while."""

from mxfleet.mxd.set_aside import REMEMBERED, SetAside


def test_a_host_that_failed_is_last_until_its_time_is_up() -> None:
    aside = SetAside(60.0)
    assert aside.last(["a", "b", "c"], 0.0) == ["a", "b", "c"]
    assert aside.learn("a", False, 0.0) == 60.0
    assert aside.last(["a", "b", "c"], 1.0) == ["b", "c", "a"]
    assert aside.last(["a", "b", "c"], 60.0) == ["a", "b", "c"]


def test_it_is_news_once_and_again_after_the_time() -> None:
    aside = SetAside(60.0)
    assert [aside.learn("a", False, now) for now in (0.0, 1.0, 62.0)] == [60.0, 0.0, 60.0]


def test_whoever_answers_is_in_its_place_again() -> None:
    aside = SetAside(60.0)
    aside.learn("a", False, 0.0)
    assert aside.learn("a", True, 1.0) == 0.0
    assert aside.last(["a", "b"], 2.0) == ["a", "b"]


def test_where_all_failed_the_one_that_failed_first_is_asked_first() -> None:
    aside = SetAside(60.0)
    aside.learn("b", False, 0.0)
    aside.learn("a", False, 5.0)
    assert aside.last(["a", "b"], 6.0) == ["b", "a"]


def test_memory_is_bounded() -> None:
    aside = SetAside(60.0)
    for number in range(REMEMBERED + 10):
        aside.learn(number, False, 0.0)
    assert aside.last([0, 99_999], 1.0) == [0, 99_999]
