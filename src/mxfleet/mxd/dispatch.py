"""Who is tried when: leases wait at their destination, each with a window of its own and senders in turn."""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

import msgspec

from mxfleet.errors import SpoolError
from mxfleet.mxd.clerk import Clerk
from mxfleet.mxd.deliver import Deliverer
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.dialogue import Attempt
from mxfleet.mxd.route import Router
from mxfleet.mxd.security import Security
from mxfleet.mxd.spool.values import Lease
from mxfleet.mxd.turns import Turns, Waiting
from mxfleet.mxd.window import Window

RECIPIENTS: Final = 100  # of one DATA (RFC 5321 §4.5.3.1.8: at least that many are taken)
REMEMBERED: Final = 10_000  # domains whose destination is kept in mind


class Site:
    """One destination: the hosts that several domains may share."""

    def __init__(self, key: str, window: Window) -> None:
        self.key = key
        self.window = window
        self.turns = Turns()
        self.running = 0

    @property
    def free(self) -> bool:
        """Whether another attempt may begin now."""
        return (
            bool(self.turns) and self.running < self.window.limit and not self.window.pause(time.monotonic())
        )

    @property
    def full(self) -> bool:
        """Whether as much is here as it can use for now: what is running and as much again."""
        return self.running + len(self.turns) >= 2 * self.window.limit or self.paused

    @property
    def paused(self) -> bool:
        """Whether nobody there gives us a session."""
        return self.window.pause(time.monotonic()) > 0


class Dispatcher:
    """Holds all leases of the courier from the claim to the record."""

    def __init__(self, desk: Desk, router: Router, security: Security, changed: Callable[[], None]) -> None:
        """`changed` is called when there is room for more."""
        self._desk = desk
        self._router = router
        self._changed = changed
        self._security = security
        self._clerk = Clerk(desk)
        self.deliverer = Deliverer(desk, router, security)
        self._most = desk.settings.delivery.attempts
        self._per_site = desk.settings.delivery.per_destination
        self._speaking: set[int] = (
            set()
        )  # attempts that have a slot, by their first delivery, until the answer
        self._called = False
        self.leases: dict[int, Lease] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._sites: dict[str, Site] = {}
        self._ready: deque[Site] = deque()  # those that have somebody waiting, in turn
        self._domains: dict[str, str] = {}
        self._senders: Counter[str] = Counter()

    @property
    def room(self) -> int:
        """How many more leases are of use."""
        return 2 * self._most - len(self.leases)

    def avoid(self) -> set[str]:
        """The domains whose destination has all that it may have."""
        full = {key for key, site in self._sites.items() if site.full}
        return {domain for domain, key in self._domains.items() if key in full} if full else set()

    def spare(self) -> set[str]:
        """The senders who have half of all, so that others get a turn."""
        return {sender for sender, count in self._senders.items() if count >= self._most}

    def pause(self) -> float:
        """Seconds until the next destination that was left alone may be tried, 0 where none is."""
        now = time.monotonic()
        pauses = [site.window.pause(now) for site in self._sites.values()]
        return min((pause for pause in pauses if pause > 0), default=0.0)

    def retry(self) -> None:
        """An operator has what waits tried at once: no destination is left alone any longer."""
        for site in self._sites.values():
            site.window.forget()

    def add(self, lease: Lease) -> None:
        """Take over a lease."""
        self.leases[lease.delivery] = lease
        self._senders[lease.sender] += 1
        self._desk.counters.add("deliveries_running")
        place = self._router.configured(lease.domain, lease.hop)
        if place is not None:
            self._queue(Waiting(lease, place))
        else:
            self._tasks[lease.delivery] = self._desk.run(self._find(lease))

    async def _find(self, lease: Lease) -> None:
        place = await self._router.place(lease.domain, lease.hop)
        if place.refusal is None:  # what needs another kind of TLS goes apart
            mark = await self._security.mark(lease.domain)
            place = msgspec.structs.replace(place, key=place.key + mark)
        self._tasks.pop(lease.delivery, None)
        self._queue(Waiting(lease, place))

    def _queue(self, waiting: Waiting) -> None:
        key = waiting.place.key
        site = self._sites.get(key)
        if site is None:
            window = Window(self._per_site, float(self._desk.settings.retry.first))
            site = self._sites[key] = Site(key, window)
        if not waiting.lease.hop:
            self._domains.pop(waiting.lease.domain, None)
            self._domains[waiting.lease.domain] = key
        if site.paused:  # left alone: back it goes, and costs nobody a slot
            self._desk.run(self._put_back(waiting.lease, site.window.pause(time.monotonic())))
            return
        if not site.turns:
            self._ready.append(site)
        site.turns.push(waiting)
        if not self._called:  # after all that was claimed together: deliveries of one message share its DATA
            self._called = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """Start what may be started, one for each destination in turn."""
        self._called, idle = False, 0
        while self._ready and len(self._speaking) < self._most and idle < len(self._ready):
            site = self._ready.popleft()
            if site.free:
                idle = 0
                self._start(site)
            else:
                idle += 1
            if site.turns:
                self._ready.append(site)

    def _start(self, site: Site) -> None:
        batch = site.turns.pop(RECIPIENTS)
        site.running += 1
        self._speaking.add(batch[0].lease.delivery)
        task = self._desk.run(self._try(site, batch))
        for waiting in batch:
            self._tasks[waiting.lease.delivery] = task
        task.add_done_callback(lambda _: self._ended(site, batch))

    async def _try(self, site: Site, batch: list[Waiting]) -> None:
        self._desk.counters.add("attempts")
        started = time.monotonic()
        leases = [waiting.lease for waiting in batch]
        try:
            attempt = await self.deliverer.attempt(leases, batch[0].place)
        except SpoolError as error:  # the body cannot be read; the lease ends, and it is tried again
            trace = leases[0].message.envelope.trace
            self._desk.log.error("cannot read", trace=trace, exception=error)
            return
        self._free(site, leases[0])
        self._learn(site, attempt)
        self._begin()  # the connection need not wait for the disk
        await self._clerk.write(leases, attempt, time.monotonic() - started)

    def _learn(self, site: Site, attempt: Attempt) -> None:
        lost = not attempt.decided or all(a.reply.code == 421 for a in attempt.answers)
        if not lost:
            site.window.success()
            return
        site.window.failure(time.monotonic())
        if site.paused:
            self._desk.log.warning(
                "destination left alone", destination=site.key, reply=str(attempt.answers[0].reply)
            )
            for waiting in list(site.turns):
                site.turns.remove(waiting.lease.delivery)
                self._desk.run(self._put_back(waiting.lease, site.window.pause(time.monotonic())))

    async def _put_back(self, lease: Lease, seconds: float) -> None:
        with contextlib.suppress(SpoolError):
            await self._desk.spool.put_back(lease, time.time() + seconds)
        self._forget(lease)
        self._changed()

    def _free(self, site: Site, first: Lease) -> None:
        if first.delivery in self._speaking:
            self._speaking.remove(first.delivery)
            site.running -= 1

    def _ended(self, site: Site, batch: list[Waiting]) -> None:
        self._free(site, batch[0].lease)
        for waiting in batch:
            self._tasks.pop(waiting.lease.delivery, None)
            self._forget(waiting.lease)
        self._begin()
        self._tidy(site)
        self._changed()

    def _forget(self, lease: Lease) -> None:
        if self.leases.pop(lease.delivery, None) is None:
            return
        self._desk.counters.add("deliveries_running", -1)
        self._senders[lease.sender] -= 1
        if self._senders[lease.sender] <= 0:
            del self._senders[lease.sender]

    def _tidy(self, site: Site) -> None:
        """What was learnt of a destination is kept while there is room to keep it."""
        if len(self._sites) > REMEMBERED and not site.running and not site.turns:
            self._sites.pop(site.key, None)
        while len(self._domains) > REMEMBERED:
            self._domains.pop(next(iter(self._domains)))

    def lose(self, delivery: int) -> None:
        """Its lease is somebody else's now: leave it alone."""
        task = self._tasks.get(delivery)
        if task is not None:
            task.cancel()
            return
        for site in self._sites.values():
            if (found := site.turns.remove(delivery)) is not None:
                self._forget(found.lease)

    async def drain(self, seconds: float) -> None:
        """Begin nothing more; give what runs that long to finish."""
        self._most = 0
        tasks = set(self._tasks.values())
        if tasks:
            _, unfinished = await asyncio.wait(tasks, timeout=seconds)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        await self.deliverer.close()
