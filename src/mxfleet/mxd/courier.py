"""The courier: one process that takes what is due and has it tried within the limits of each destination."""

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import Final

from mxfleet.errors import SpoolError
from mxfleet.mail.mta_sts_policy import Policy
from mxfleet.mxd import policies
from mxfleet.mxd.admin import Admin
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.dispatch import Dispatcher
from mxfleet.mxd.final_dots import FinalDots
from mxfleet.mxd.health import Health
from mxfleet.mxd.resolver import Resolver, RoutingResolver
from mxfleet.mxd.route import Router
from mxfleet.mxd.security import Security
from mxfleet.mxd.spool.values import Selection

LEASE: Final = 30.0  # seconds after which another may take over what we hold
BATCH: Final = 100
NAP: Final = 60.0  # seconds without being woken after which it looks anyway
DRAIN: Final = 20.0  # seconds that attempts under way get to finish
RESPITE: Final = 0.005  # seconds for which a search that found nothing is not repeated, or as long as it took
GATHER: Final = 0.02  # seconds that new mail waits for more, while there is other mail to deliver
INTERRUPTED: Final = 1000  # deliveries named after a crash; no more are ever leased
SWEEP: Final = 7200.0  # seconds after which a half-received body belongs to nobody


class Courier:
    """Claims; what it has claimed is the dispatcher's."""

    def __init__(self, desk: Desk, health: Health, wake: int) -> None:
        """`wake` is the pipe on which workers report new mail."""
        self._desk = desk
        self._spool = desk.spool
        self._wake = wake
        self._owner = desk.settings.node.name
        self._limits = desk.settings.delivery
        self._resolver = Resolver(self._limits.resolver)
        dns = RoutingResolver(self._resolver)
        router = Router(desk.settings, dns, desk.configuration.passwords)
        security = Security(desk.settings.sending, desk.settings.destination, self._resolver, self._policy)
        kept = policies.place(desk.settings.paths.spool)
        self._policies = policies.Policies(kept, self._resolver, security.fetch, desk.log)
        self._dispatcher = Dispatcher(desk, router, security, self.look)
        self._admin = Admin(desk, health, self._changed)
        self._news = asyncio.Event()
        self._waiting: asyncio.TimerHandle | None = None  # for more new mail
        self._rested = 0.0  # monotonic time at which it may search again

    async def _policy(self, domain: str) -> Policy | None:
        return await self._policies.policy(domain)

    def look(self) -> None:
        """Something may be due."""
        self._news.set()

    def _changed(self) -> None:
        """An operator has changed the queue."""
        self._dispatcher.retry()
        self.look()

    async def run(self, stop: asyncio.Event, ready: asyncio.Event) -> None:
        """Deliver until told to stop."""
        loop = asyncio.get_running_loop()
        await self._take_up()
        await self._admin.open()
        loop.add_reader(self._wake, self._woken)
        ready.set()
        ending = loop.create_task(stop.wait())
        ending.add_done_callback(lambda _: self.look())
        heart = loop.create_task(self._beat())
        fresh = loop.create_task(self._policies.keep_fresh())
        try:
            while not stop.is_set():
                self._news.clear()
                room = min(self._dispatcher.wanted(), BATCH)
                if not (room and await self._take(room)) and not stop.is_set():
                    await self._sleep(searched=room > 0)
        finally:
            ending.cancel()
            self._admin.close()
            await self._drain()
            heart.cancel()
            fresh.cancel()

    async def _take_up(self) -> None:
        """What an earlier life had leased when it ended without a word.

        What was sent up to the final dot may arrive twice, for the answer was not seen (RFC 1047).
        """
        now, dots = time.time(), self._final_dots()
        for item in await self._spool.items(now, INTERRUPTED, Selection(owner=self._owner)):
            doubtful = dots is None or dots.may_have_been_sent(item.delivery)
            self._desk.counters.add("doubtful", len(item.recipients) if doubtful else 0)
            self._desk.log.warning(
                "interrupted",
                trace=item.trace,
                domain=item.domain,
                recipients=list(item.recipients),
                **({"doubtful": True} if doubtful else {}),
            )
        await self._spool.release(self._owner, now)

    def _final_dots(self) -> FinalDots | None:
        """Kept from now on; without them whatever is interrupted counts as sent."""
        path = Path(self._desk.settings.paths.runtime) / "final-dots"
        try:
            self._desk.final_dots = FinalDots(path)
        except OSError as error:
            self._desk.log.error("cannot keep in mind what was sent", exception=error)
        return self._desk.final_dots

    def _woken(self) -> None:
        """New mail: looked for at once, or a moment later together with what comes meanwhile."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 65_536)
        if not self._dispatcher.leases:
            self.look()
        elif self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_later(GATHER, self._gathered)

    def _gathered(self) -> None:
        self._waiting = None
        self.look()

    async def _take(self, room: int) -> bool:
        """Lease what is due and fits the limits; whether there may be more for which there is room."""
        dispatcher, now, began = self._dispatcher, time.time(), time.monotonic()
        each = 2 * self._limits.per_destination
        try:
            found = await self._spool.due(now, room, dispatcher.avoid(), each, dispatcher.spare())
            leases = await self._spool.lease(self._owner, now, LEASE, found) if found else ()
        except SpoolError as error:
            self._desk.log.error("cannot claim", exception=error)
            await asyncio.sleep(1.0)
            return False
        for lease in leases:
            dispatcher.add(lease)
        if not leases:
            ended = time.monotonic()
            self._rested = ended + max(RESPITE, ended - began)
        return len(leases) == room

    async def _sleep(self, *, searched: bool) -> None:
        """Until something is due, or somebody says so; where there is no room for it, until somebody says so."""
        wait = NAP
        if searched:
            try:
                due = await self._spool.next_due(self._dispatcher.avoid())
            except SpoolError as error:
                self._desk.log.error("cannot read the queue", exception=error)
                due = time.time() + 1.0
            wait = NAP if due is None else min(max(due - time.time(), 0.0) + 0.001, NAP)
        pause = self._dispatcher.pause()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(wait, pause) if pause else wait):
                await self._news.wait()
        if (rest := self._rested - time.monotonic()) > 0:
            await asyncio.sleep(rest)

    async def _beat(self) -> None:
        """Keep the leases of what is here, leave alone what is no longer ours, sweep now and then."""
        while True:
            await asyncio.sleep(LEASE / 3)
            with contextlib.suppress(SpoolError):
                await self._spool.sweep(time.time() - SWEEP)
                held = list(self._dispatcher.leases.values())
                kept = await self._spool.extend(held, time.time(), LEASE)
                for lease in held:
                    if lease.delivery not in kept and lease.delivery in self._dispatcher.leases:
                        self._dispatcher.lose(lease.delivery)

    async def _drain(self) -> None:
        await self._dispatcher.drain(DRAIN)
        await self._policies.close()
        await self._resolver.close()
        with contextlib.suppress(SpoolError):
            await self._spool.release(self._owner, time.time())
