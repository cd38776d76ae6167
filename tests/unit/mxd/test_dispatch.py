"""Who is tried when, of those that the courier has leased."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mxfleet.errors import SpoolError
from mxfleet.mxd import accounts, dispatch, settings
from mxfleet.mxd.clerk import EXPIRED, UNTRIED
from mxfleet.mxd.configuration import Configuration
from mxfleet.mxd.counters import Shared
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.directory import Directory
from mxfleet.mxd.dispatch import HANGING, Dispatcher
from mxfleet.mxd.observe import logger
from mxfleet.mxd.route import Place, Router
from mxfleet.mxd.security import Security
from mxfleet.mxd.spool.protocol import (
    Envelope,
    Lease,
    Notice,
    Recipient,
    Result,
    Selection,
    StoredMessage,
)
from mxfleet.mxd.spool.sqlite import SqliteSpool
from mxfleet.mxd.tls import Certificates
from mxfleet.mxd.turns import Waiting
from mxfleet.mxd.window import BEGIN

ROUTE = settings.RouteSettings(kind="lmtp", host="127.0.0.1", port=24)
HOP = "127.0.0.1:24"


class FakeSpool:
    """Remembers what came back without an attempt, and when it is due again; and what became of those with one."""

    def __init__(self) -> None:
        self.back: dict[int, float] = {}
        self.recorded: dict[int, tuple[list[str], float, bool]] = {}

    async def record(
        self, lease: Lease, results: Sequence[Result], due: float, notice: Notice | None, *, warned: bool
    ) -> bool:
        del warned
        said = [f"{result.state}: {result.reply}" for result in results]
        self.recorded[lease.delivery] = (said, due, notice is not None)
        return True

    async def put_back(self, lease: Lease, due: float) -> bool:
        self.back[lease.delivery] = due
        return True


class SlowHost:
    """In the deliverer's place: answers nobody before it is told to, and then with an error."""

    def __init__(self) -> None:
        self.error: Exception = SpoolError("the body cannot be read")
        self.asked: list[int] = []
        self.places: list[Place] = []
        self.answers = asyncio.Event()

    async def attempt(self, leases: Sequence[Lease], place: Place) -> Any:
        self.places.append(place)
        self.asked += [lease.delivery for lease in leases]
        await self.answers.wait()
        raise self.error

    async def close(self) -> None:
        """There is no connection."""


def lease(number: int, hop: str = "", expires: float = 9e9) -> Lease:
    sender = "alice@corp.test"
    envelope = Envelope(
        trace=f"t{number}", sender=sender, received=time.time(), expires=expires, submitter=sender
    )
    message = StoredMessage(number, envelope, b"", b"", 0)
    members = (Recipient(1, "u@slow.test"),)
    return Lease(number, 1, 9e9, "slow.test", 0, message, members, hop=hop, expires=expires)


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


async def test_a_hop_of_its_own_that_hangs_is_avoided_and_the_domain_is_not(run: Run) -> None:
    for number in range(BEGIN + 1):
        run.dispatcher.add(lease(number, HOP))
    await run.until(lambda: BEGIN in run.spool.back)
    assert run.dispatcher.avoid() == {HOP}
    assert run.spool.back[BEGIN] <= time.time()
    run.host.answers.set()
    await run.until(lambda: not run.dispatcher.leases)
    assert run.dispatcher.avoid() == set()


async def test_what_goes_where_nothing_avoids_it_any_more_waits_a_while(run: Run) -> None:
    for number in range(BEGIN):
        run.dispatcher.add(lease(number))
    await run.until(lambda: run.dispatcher.avoid() == {"slow.test"})
    waiting = Waiting(lease(99), Place("127.0.0.1:24"))
    site = run.dispatcher._sites[waiting.place.key]
    run.dispatcher._domains["slow.test"] = "another host:24"
    assert run.dispatcher._wait(waiting.lease, site) == HANGING


@pytest.mark.parametrize("domains", [1, 400])
async def test_much_that_is_re_routed_to_one_hop_leaves_the_room_to_others(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, domains: int
) -> None:
    monkeypatch.setattr(dispatch, "SLOW", 3600.0)
    spool, each = SqliteSpool(tmp_path / "spool"), 20
    for number in range(400):
        one = Envelope(trace=f"t{number}", sender=f"a@s{number}.test", received=1.0, expires=9e9)
        await spool.accept(one, [f"u@d{number % domains}.test"], b"", b"x")
    await spool.reroute(2.0, Selection(), HOP)
    first = 0
    while found := await spool.due(3.0, min(run.dispatcher.wanted(), 100), run.dispatcher.avoid(), each):
        first = first or len(found)
        for claimed in await spool.lease("mx1", 3.0, 30.0, found):
            run.dispatcher.add(claimed)
    spool.close()
    assert len(run.dispatcher.leases) == first == each
    run.host.answers.set()
    await run.until(lambda: not run.dispatcher.leases)


async def test_what_only_waits_is_read_anew_when_the_operator_has_changed_something(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "SLOW", 3600.0)
    for number in range(2 * BEGIN):
        run.dispatcher.add(lease(number, HOP if number % 2 else ""))
    await run.until(lambda: len(run.host.asked) == BEGIN)
    run.dispatcher.retry()
    await run.until(lambda: len(run.spool.back) == BEGIN)
    assert max(run.spool.back.values()) <= time.time()
    assert len(run.dispatcher.leases) == BEGIN


@pytest.mark.parametrize("error", [SpoolError("the body cannot be read"), RuntimeError("oops")])
async def test_what_cannot_be_tried_waits_as_others_do_and_ends_as_they_do(
    run: Run, error: Exception
) -> None:
    run.host.error = error
    run.host.answers.set()
    run.dispatcher.add(lease(1))
    for number in range(2, BEGIN + 1):
        run.dispatcher.add(lease(number, expires=time.time() - 1))
    await run.until(lambda: not run.dispatcher.leases)
    words, due, told = run.spool.recorded[1]
    assert words == [f"waiting: {UNTRIED}"]
    assert (due > time.time() + 1, told) == (True, False)
    words, _, told = run.spool.recorded[2]
    assert words == [f"failed: {EXPIRED}: {UNTRIED}"]
    assert told
    assert run.dispatcher.pause() == 0  # and it is not the host that is left alone for it


async def no_place(_domain: str, _hop: str) -> Any:
    raise RuntimeError("no place")


async def test_what_has_no_destination_by_a_mistake_goes_nowhere_for_now(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run.dispatcher._router, "configured", lambda *_: None)
    monkeypatch.setattr(run.dispatcher._router, "place", no_place)
    run.dispatcher.add(lease(7))
    await run.until(lambda: run.host.places)
    (place,) = run.host.places
    assert (place.hops, place.refusal) == ((), UNTRIED)


async def test_a_lease_that_is_lost_while_its_destination_is_asked_for_is_kept_by_nobody(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def place(_domain: str, _hop: str) -> Any:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(run.dispatcher._router, "configured", lambda *_: None)
    monkeypatch.setattr(run.dispatcher._router, "place", place)
    room = run.dispatcher.room
    run.dispatcher.add(lease(7))
    await asked.wait()
    run.dispatcher.lose(7)
    await run.until(lambda: not run.dispatcher.leases and run.dispatcher.room == room)
    assert run.changed.is_set()
