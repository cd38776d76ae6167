"""Who is tried when, of those that the courier has leased."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from mxfleet.errors import SpoolError
from mxfleet.mxd import accounts, dispatch, settings
from mxfleet.mxd.configuration import Configuration
from mxfleet.mxd.counters import Shared
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.directory import Directory
from mxfleet.mxd.dispatch import HANGING, Dispatcher
from mxfleet.mxd.observe import logger
from mxfleet.mxd.route import Router
from mxfleet.mxd.security import Security
from mxfleet.mxd.spool.protocol import Envelope, Lease, StoredMessage
from mxfleet.mxd.tls import Certificates
from mxfleet.mxd.window import BEGIN

ROUTE = settings.RouteSettings(kind="lmtp", host="127.0.0.1", port=24)
HOP = "127.0.0.1:24"


class FakeSpool:
    """Remembers what came back without an attempt, and when it is due again."""

    def __init__(self) -> None:
        self.back: dict[int, float] = {}

    async def put_back(self, lease: Lease, due: float) -> bool:
        self.back[lease.delivery] = due
        return True


class SlowHost:
    """In the deliverer's place: answers nobody before it is told to; what it says does not matter here."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.answers = asyncio.Event()

    async def attempt(self, leases: Sequence[Lease], _place: object) -> Any:
        self.asked += [lease.delivery for lease in leases]
        await self.answers.wait()
        raise SpoolError("the body cannot be read")

    async def close(self) -> None:
        """There is no connection."""


def lease(number: int, hop: str = "") -> Lease:
    envelope = Envelope(trace=f"t{number}", sender="", received=0.0, expires=9e9)
    message = StoredMessage(number, envelope, b"", b"", 0)
    return Lease(number, 1, 9e9, "slow.test", 0, message, (), hop=hop)


class Run:
    """A dispatcher with a host that hangs as soon as it is spoken to."""

    def __init__(self) -> None:
        made = settings.Settings(
            node=settings.NodeSettings(
                name="mx1", hostname="mx1.corp.test", release="", address4="127.0.0.1"
            ),
            service=settings.ServiceSettings(hostname="mx.corp.test"),
            domain=(settings.DomainSettings(name="slow.test", recipients=(), route=ROUTE),),
        )
        directory, keepers = Directory.of(made), accounts.Directory(settings.Accounts())
        configuration = Configuration(made, directory, keepers, Certificates([]), {}, {}, "")
        self.spool, self.host, self.changed = FakeSpool(), SlowHost(), asyncio.Event()
        desk = Desk(configuration, self.spool, 0, Shared(1).row(0), logger("test"))  # type: ignore[arg-type]
        security = Security(made.sending, (), None)
        self.dispatcher = Dispatcher(desk, Router(made, None, {}), security, self.changed.set)  # type: ignore[arg-type]
        self.dispatcher.deliverer = self.host  # type: ignore[assignment]

    async def until(self, condition: Any) -> None:
        """Let the others run; a bound on the turns, not on the time."""
        for _ in range(10_000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("it never came to that")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(dispatch, "SLOW", 0.0)
    return Run()


async def test_what_waits_for_a_slow_host_is_due_as_soon_as_a_place_there_is_free(run: Run) -> None:
    for number in range(BEGIN + 3):
        run.dispatcher.add(lease(number))
    await run.until(lambda: len(run.spool.back) == 3)
    assert run.host.asked == list(range(BEGIN))
    assert max(run.spool.back.values()) <= time.time()
    assert run.dispatcher.avoid() == {"slow.test"}  # and so is not leased over and over meanwhile
    run.changed.clear()
    run.host.answers.set()
    await run.until(lambda: not run.dispatcher.leases)
    assert run.changed.is_set()
    assert run.dispatcher.avoid() == set()


async def test_what_came_when_all_places_hung_is_due_then_too(run: Run) -> None:
    for number in range(BEGIN):
        run.dispatcher.add(lease(number))
    await run.until(lambda: run.dispatcher.avoid() == {"slow.test"})
    run.dispatcher.add(lease(99))
    await run.until(lambda: 99 in run.spool.back)
    assert run.spool.back[99] <= time.time()


async def test_a_hop_of_its_own_is_avoided_by_nobody_and_so_waits_a_while(run: Run) -> None:
    for number in range(BEGIN + 1):
        run.dispatcher.add(lease(number, HOP))
    await run.until(lambda: BEGIN in run.spool.back)
    assert run.dispatcher.avoid() == set()
    assert run.spool.back[BEGIN] > time.time() + HANGING / 2


@pytest.mark.parametrize("lost", [False, True])
async def test_a_lease_whose_destination_is_not_found_is_kept_by_nobody(
    run: Run, monkeypatch: pytest.MonkeyPatch, *, lost: bool
) -> None:
    asked = asyncio.Event()

    async def place(_domain: str, _hop: str) -> Any:
        asked.set()
        if lost:
            await asyncio.Event().wait()
        raise SpoolError("no place")

    monkeypatch.setattr(run.dispatcher._router, "configured", lambda *_: None)
    monkeypatch.setattr(run.dispatcher._router, "place", place)
    room = run.dispatcher.room
    run.dispatcher.add(lease(7))
    await asked.wait()
    if lost:
        run.dispatcher.lose(7)
    await run.until(lambda: not run.dispatcher.leases and run.dispatcher.room == room)
    assert run.changed.is_set()
