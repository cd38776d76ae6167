"""The selector that lets the events of a crowd come together."""

import selectors
import socket
import time
from collections.abc import Iterator

import pytest

from mxfleet.mxd import crowd

Pairs = list[tuple[socket.socket, socket.socket]]


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    made = [socket.socketpair() for _ in range(crowd.CROWD)]
    yield made
    for one, other in made:
        one.close()
        other.close()


def ready(selector: crowd.Selector, timeout: float | None = 5.0) -> int:
    return len(selector.select(timeout))


def watching(pairs: Pairs, count: int) -> crowd.Selector:
    selector = crowd.Selector(0.5)
    for one, _ in pairs[:count]:
        selector.register(one, selectors.EVENT_READ)
    return selector


@pytest.mark.parametrize(
    ("count", "timeout", "earlier", "together"),
    [
        (crowd.CROWD, 5.0, True, 2),
        (crowd.CROWD - 1, 5.0, True, 1),  # no crowd
        (crowd.CROWD, 0, True, 1),  # the loop has other work
        (crowd.CROWD, 5.0, False, 1),  # nothing has happened for a while
    ],
)
def test_in_a_busy_crowd_one_event_waits_a_moment_for_others(
    pairs: Pairs,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    timeout: float,
    earlier: bool,
    together: int,
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda _: pairs[1][1].send(b"x"))
    selector = watching(pairs, count)
    if earlier:
        pairs[0][1].send(b"x")
        assert ready(selector) == 1  # the first for a long time does not wait
        assert pairs[0][0].recv(1) == b"x"
    now[0] += crowd.BUSY / 2
    pairs[0][1].send(b"x")
    assert ready(selector, timeout) == together
    selector.close()


def test_who_has_enough_to_do_does_not_wait(pairs: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it slept"))
    selector = watching(pairs, crowd.CROWD)
    for _ in range(3):
        for _, other in pairs[: crowd.FEW]:
            other.send(b"x")
        assert ready(selector) == crowd.FEW
    selector.close()
