"""What a destination may have for now."""

from mxfleet.mxd.route import Place
from mxfleet.mxd.site import Site
from mxfleet.mxd.spool.values import Envelope, Lease, StoredMessage
from mxfleet.mxd.turns import Waiting
from mxfleet.mxd.window import BEGIN, DEAD, Pace, Window


def waiting(number: int) -> Waiting:
    envelope = Envelope(trace=f"t{number}", sender="", received=0.0, expires=9e9)
    message = StoredMessage(number, envelope, b"", b"", 0)
    return Waiting(Lease(number, 1, 9e9, "peer.test", 0, message, ()), Place("peer"))


def site(per_minute: float = 0.0, waits: int = 1) -> Site:
    made = Site("peer", Window(10, 60.0), Pace(per_minute))
    for number in range(waits):
        made.turns.push(waiting(number))
    return made


def test_an_attempt_may_begin_where_somebody_waits_and_a_place_is_free() -> None:
    assert site().free(0.0)
    assert not site(waits=0).free(0.0)
    busy = site()
    busy.running = BEGIN
    assert not busy.free(0.0)


def test_a_rate_lets_the_next_begin_when_its_time_has_come() -> None:
    paced = site(per_minute=60.0)
    paced.pace.begin(100.0)
    assert not paced.free(100.5)
    assert paced.free(101.0)


def test_as_much_again_as_may_run_waits_here_and_no_more() -> None:
    assert not site(waits=2 * BEGIN - 1).full(0.0)
    assert site(waits=2 * BEGIN).full(0.0)


def test_where_all_that_may_run_hangs_or_no_session_is_had_nothing_waits() -> None:
    hangs = site()
    hangs.running = hangs.slow = BEGIN
    assert hangs.is_closed(0.0)
    assert hangs.full(0.0)
    hangs.slow -= 1
    assert not hangs.is_closed(0.0)
    dead = site()
    for _ in range(DEAD):
        dead.window.failure(0.0)
    assert dead.is_closed(1.0)
    assert not dead.is_closed(100.0)
