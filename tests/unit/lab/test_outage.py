"""How long an address was away: from greetings to one number, and the probe that gathers them."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.lab import probe
from mxfleet.lab.outage import Greeting, Outage, outage
from mxfleet.lab.power import Outcome

V4, V6 = "10.77.0.10", "fd77:77::10"


def test_the_outage_ends_with_the_first_greeting_of_a_connection_begun_after_it() -> None:
    greetings = [
        Greeting(V4, 9.98, 9.99),
        Greeting(V4, 9.99, 10.01),  # begun before: the dead node may have answered it
        Greeting(V6, 10.10, 10.11),
        Greeting(V4, 10.60, 10.65),
        Greeting(V4, 10.62, 10.64),
    ]
    found = outage(V4, 10.0, greetings)
    assert found.seconds == pytest.approx(0.64)
    assert found.told() == "10.77.0.10 answers again after 640 ms"


def test_an_address_that_stays_away_is_said_to() -> None:
    assert outage(V4, 10.0, [Greeting(V6, 11, 11)]) == Outage(V4, None)
    assert "does not answer any more" in Outage(V4, None).told()


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 5))), st.floats(0, 100))
def test_an_outage_is_never_negative(raw: list[tuple[float, float]], moment: float) -> None:
    found = outage(V4, moment, [Greeting(V4, begun, begun + took) for begun, took in raw])
    assert found.seconds is None or found.seconds >= 0


async def test_the_probe_reports_a_greeting_and_takes_leave(capsys: pytest.CaptureFixture[str]) -> None:
    heard = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx1.corp.test ESMTP\r\n")
        if await reader.readline() == b"QUIT\r\n":
            heard.set()
        writer.write(b"221 2.0.0 Bye\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        await probe.greeting("127.0.0.1", server.sockets[0].getsockname()[1])
        await asyncio.wait_for(heard.wait(), 1)
    address, begun, greeted = capsys.readouterr().out.split()
    assert address == "127.0.0.1"
    assert float(begun) <= float(greeted)


@pytest.mark.parametrize("banner", [b"421 4.3.2 going down\r\n", b""])
async def test_the_probe_is_not_content_with_less_than_220(
    banner: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(banner)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        await probe.greeting("127.0.0.1", server.sockets[0].getsockname()[1])
    assert capsys.readouterr().out == ""


async def test_nobody_listening_is_no_greeting_and_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    await probe.greeting("127.0.0.1", 1)
    assert capsys.readouterr().out == ""


def test_the_outcome_says_what_waits_on_the_dead_node() -> None:
    told = Outcome("mx1", (Outage(V4, 0.65), Outage(V6, 0.66)), "mx2", 3).told()
    assert told.splitlines() == [
        "mx1 is off",
        "10.77.0.10 answers again after 650 ms",
        "fd77:77::10 answers again after 660 ms",
        "the service address is held by mx2",
        "3 recipients wait in its queue until it is back: each node keeps its own queue (mxfleet lab power-on mx1)",
    ]


def test_an_empty_queue_and_no_queue_are_told_apart() -> None:
    assert Outcome("mx1", (), "mx2", 0).told() == "mx1 is off\nnothing waits in its queue"
    assert Outcome("world", (), "mx2", None).told() == "world is off"
