"""Deadlines: each step has its patience, and the whole has its own."""

from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.smtp import events
from mxfleet.mail.smtp.events import Idle
from mxfleet.mail.smtp.limits import ServerConfig, ServerLimits
from mxfleet.mail.smtp.pace import Pace
from mxfleet.mail.smtp.server import Server

LIMITS = ServerLimits(
    command_seconds=300,
    data_seconds=180,
    handshake_seconds=30,
    session_seconds=1000,
    message_seconds=2000,
    slow_seconds=300,
    slowest=100,
)


def test_a_command_has_its_time_and_the_session_too() -> None:
    pace = Pace(LIMITS)
    assert pace.deadline("command", None, 50.0) == 350.0
    assert pace.deadline("command", None, 500.0) == 800.0
    assert pace.deadline("command", None, 900.0) == 1050.0
    assert pace.deadline("handshake", None, 1040.0) == 1070.0
    assert pace.deadline("answer", None, 1040.0) == float("inf")


def test_a_message_may_be_slow_but_not_for_ever() -> None:
    pace = Pace(LIMITS)
    assert pace.deadline("data", 0, 0.0) == 180.0
    assert pace.deadline("data", 1, 170.0) == 300.01
    assert pace.deadline("data", 10_000, 200.0) == 380.0
    assert pace.deadline("data", 100_000, 1250.0) == 1300.0
    assert (
        pace.deadline("command", 1_000_000, 1950.0) == 2000.0
    )  # between two chunks, and behind the session's end
    assert pace.deadline("command", None, 1960.0) == 1000.0
    assert pace.deadline("data", 0, 1970.0) == 2150.0


def test_time_in_which_nobody_read_is_not_the_clients() -> None:
    pace = Pace(LIMITS)
    pace.forgive(5.0)
    assert pace.deadline("data", 0, 200.0) == 380.0
    assert pace.deadline("data", 0, 390.0) == 500.0
    pace.forgive(60.0)
    assert pace.deadline("data", 0, 480.0) == 560.0


def test_any_rate_is_taken_where_none_is_asked_for() -> None:
    pace = Pace(ServerLimits(slowest=0, message_seconds=900))
    assert pace.deadline("data", 0, 0.0) == 180.0
    assert pace.deadline("data", 1, 800.0) == 900.0


@given(st.lists(st.floats(0.0, 250.0), min_size=1, max_size=60))
def test_one_octet_before_each_deadline_ends_when_the_defaults_say(waits: list[float]) -> None:
    """Whatever the pauses: with an octet each, a message lasts no longer than its time for so many octets."""
    limits = ServerLimits()
    pace, now, octets = Pace(limits), 0.0, 0
    deadline = pace.deadline("data", octets, now)
    for wait in waits:
        if now + wait > deadline:
            break
        now, octets = now + wait, octets + 1
        deadline = pace.deadline("data", octets, now)
    assert now <= limits.slow_seconds + octets / limits.slowest


def answer_all(server: Server) -> None:
    while not isinstance(event := server.next_event(), Idle):
        if isinstance(event, events.Question):
            assert server.deadline(20.0) == float("inf")
            server.accept()


def test_the_server_tells_the_pace_what_it_waits_for() -> None:
    server = Server(ServerConfig("mx.corp.test", limits=LIMITS))
    server.greeting()
    assert server.deadline(10.0) == 310.0
    server.receive(b"EHLO a\r\n")
    answer_all(server)
    server.receive(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5\r\nab")
    answer_all(server)
    assert server.expects == "data"
    assert server.deadline(100.0) == 280.0
    server.receive(b"c\r\n")
    answer_all(server)
    assert (server.expects, server.receiving) == ("command", True)
    assert server.deadline(390.0) == 400.05
    server.forgive(10.0)
    assert server.deadline(390.0) == 410.05
    server.receive(b"BDAT 0 LAST\r\n")
    answer_all(server)
    assert (server.expects, server.receiving) == ("command", False)
    assert server.deadline(950.0) == 1010.0
    server.timeout()
    assert server.deadline(950.0) == float("inf")


def test_a_message_has_its_own_time_though_another_one_was_there_when_last_asked() -> None:
    server = Server(ServerConfig("mx.corp.test", limits=LIMITS))
    server.greeting()
    server.receive(b"EHLO a\r\n")
    answer_all(server)
    begin = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
    server.receive(begin)
    answer_all(server)
    assert (server.deadline(100.0), server.deadline(390.0)) == (280.0, 400.0)
    server.receive(b"\r\n.\r\n" + begin.removesuffix(b"DATA\r\n"))
    answer_all(server)
    server.receive(b"DATA\r\n")
    answer_all(server)
    assert (server.expects, server.deadline(391.0)) == ("data", 571.0)
