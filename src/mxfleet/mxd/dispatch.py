"""Who is tried when: leases wait at their destination, each with a window of its own and senders in turn."""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

import msgspec

from mxfleet.errors import SpoolError
from mxfleet.mxd.clerk import UNTRIED, Clerk
from mxfleet.mxd.deliver import Deliverer
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.dialogue import Attempt
from mxfleet.mxd.route import Place, Router
from mxfleet.mxd.security import Security
from mxfleet.mxd.site import Site
from mxfleet.mxd.spool.values import Lease
from mxfleet.mxd.turns import Waiting
from mxfleet.mxd.wildcards import Wildcards
from mxfleet.mxd.window import Pace, Window

RECIPIENTS: Final = 100  # of one DATA (RFC 5321 §4.5.3.1.8: at least that many are taken)
REMEMBERED: Final = 10_000  # domains and hops whose destination is kept in mind
SLOW: Final = 5.0  # seconds without an answer after which an attempt takes no place from other destinations
HANGING: Final = 15.0  # seconds after which what hangs is looked at again, where nothing avoids it
FEW: Final = 25  # leases that are not worth a search of their own while others are being tried
SLOWEST: Final = 10  # times as many attempts may be slow as run otherwise; more wait like all


class Dispatcher:
    """Holds all leases of the courier from the claim to the record."""

    def __init__(self, desk: Desk, router: Router, security: Security, changed: Callable[[], None]) -> None:
        """`changed` is called when more may be had from the spool than before: there is room, or something came back."""
        self._desk = desk
        self._router = router
        self._changed = changed
        self._security = security
        self._clerk = Clerk(desk)
        self.deliverer = Deliverer(desk, router, security)
        self._most = desk.settings.delivery.attempts
        self._rules = Wildcards({rule.name: rule for rule in desk.settings.destination})
        # Attempts until their answer, by their first delivery: those that have a slot, and those that are too slow.
        self._speaking: dict[int, asyncio.TimerHandle] = {}
        self._slow: dict[int, int] = {}  # with how many deliveries they hold
        self._finding: set[int] = set()  # deliveries whose destination is being asked for
        self._called = False
        self._short = False  # of room, the last time that somebody wanted to know
        self.leases: dict[int, Lease] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._sites: dict[str, Site] = {}
        self._ready: deque[Site] = deque()  # those that have somebody waiting, in turn
        self._domains: dict[str, str] = {}  # the site of each domain, and of each hop of an operator
        self._senders: Counter[str] = Counter()
        self._counted: set[int] = set()  # deliveries that count there

    @property
    def room(self) -> int:
        """How many more leases are of use; what hangs takes no room from what does not."""
        hanging = sum(self._slow.values()) + min(len(self._finding), 2 * self._most)
        return 2 * self._most - (len(self.leases) - hanging)

    def wanted(self) -> int:
        """How many leases to ask for; 0 where it is not worth while, until `changed` is called."""
        room = self.room
        self._short = room <= 0 or (bool(self.leases) and room < min(FEW, self._most // 4))
        return 0 if self._short else room

    def avoid(self) -> set[str]:
        """The domains and hops whose destination has all that it may have."""
        now = time.monotonic()
        full = {key for key, site in self._sites.items() if site.full(now)}
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
        """An operator has changed what is to be done: what only waits is read anew, no destination is left alone."""
        for site in self._sites.values():
            site.window.forget()
            self._send_away(site, anew=True)

    def add(self, lease: Lease) -> None:
        """Take over a lease."""
        self.leases[lease.delivery] = lease
        self._counted.add(lease.delivery)
        self._senders[lease.sender] += 1
        self._desk.counters.add("deliveries_running")
        place = self._router.configured(lease.domain, lease.hop)
        if place is not None:
            self._queue(Waiting(lease, place))
        else:
            self._finding.add(lease.delivery)
            task = self._tasks[lease.delivery] = self._desk.run(self._find(lease))
            task.add_done_callback(lambda _: self._finding.discard(lease.delivery))

    async def _find(self, lease: Lease) -> None:
        """A destination that cannot be found by a mistake of ours is a place that nothing can go to now."""
        try:
            place = await self._router.place(lease.domain, lease.hop)
            if place.refusal is None:  # what needs another kind of TLS goes apart
                mark = await self._security.mark(lease.domain)
                place = msgspec.structs.replace(place, key=place.key + mark)
        except Exception as error:
            trace = lease.message.envelope.trace
            self._desk.log.error("mistake in mxd", trace=trace, exception=error)
            place = Place(f"{lease.domain} (not found)", refusal=UNTRIED)
        except BaseException:  # cancelled: it is somebody else's
            self._forget(lease)
            self._changed()
            raise
        finally:
            self._tasks.pop(lease.delivery, None)
        self._queue(Waiting(lease, place))

    def _queue(self, waiting: Waiting) -> None:
        key = waiting.place.key
        site = self._sites.get(key)
        if site is None:
            site = self._sites[key] = self._site(waiting)
        to = waiting.lease.hop or waiting.lease.domain
        self._domains.pop(to, None)
        self._domains[to] = key
        if site.is_closed(time.monotonic()):  # back it goes, and costs nobody a slot
            self._desk.run(self._put_back(waiting.lease, self._wait(waiting.lease, site)))
            return
        if not site.turns:
            self._ready.append(site)
        site.turns.push(waiting)
        if not self._called:  # after all that was claimed together: deliveries of one message share its DATA
            self._called = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _site(self, waiting: Waiting) -> Site:
        limits, rule = self._desk.settings.delivery, self._rules.get(waiting.lease.domain)
        most = (rule.connections if rule else 0) or limits.per_destination
        rate = (rule.per_minute if rule else 0.0) or limits.per_minute
        window = Window(most, float(self._desk.settings.retry.first))
        return Site(waiting.place.key, window, Pace(rate))

    def _begin(self) -> None:
        """Start what may be started, one for each destination in turn."""
        self._called, idle, now = False, 0, time.monotonic()
        while self._ready and len(self._speaking) < self._most and idle < len(self._ready):
            site = self._ready.popleft()
            if site.free(now):
                idle = 0
                self._start(site, now)
            else:
                idle += 1
                self._wake(site, now)
            if site.turns:
                self._ready.append(site)

    def _wake(self, site: Site, now: float) -> None:
        """Look again when the rate of a destination lets another begin."""
        wait = site.pace.wait(now)
        if wait and site.turns and not site.waking:
            site.waking = True
            asyncio.get_running_loop().call_later(wait, self._woken, site)

    def _woken(self, site: Site) -> None:
        site.waking = False
        self._begin()

    def _start(self, site: Site, now: float) -> None:
        loop = asyncio.get_running_loop()
        batch = site.turns.pop(RECIPIENTS)
        site.running += 1
        site.pace.begin(now)
        self._speaking[batch[0].lease.delivery] = loop.call_later(SLOW, self._hangs, site, batch)
        task = self._desk.run(self._try(site, batch))
        for waiting in batch:
            self._tasks[waiting.lease.delivery] = task
        task.add_done_callback(lambda _: self._ended(site, batch))

    async def _try(self, site: Site, batch: list[Waiting]) -> None:
        over = False
        try:
            over = await self._attempt(site, batch)
        finally:
            if not over:
                self._changed()

    async def _attempt(self, site: Site, batch: list[Waiting]) -> bool:
        """Whether the spool has nothing more to be done because of it."""
        self._desk.counters.add("attempts")
        started = time.monotonic()
        leases = [waiting.lease for waiting in batch]
        try:
            attempt = await self.deliverer.attempt(leases, batch[0].place)
        except Exception as error:  # no host's fault: no site learns of it
            attempt = self._clerk.untried(leases, error)
        else:
            self._learn(site, attempt)
        self._free(site, leases[0])
        self._begin()  # the connection need not wait for the disk
        return await self._clerk.write(leases, attempt, time.monotonic() - started)

    def _learn(self, site: Site, attempt: Attempt) -> None:
        lost = not attempt.decided or all(a.reply.code == 421 for a in attempt.answers)
        if not lost:
            site.window.success()
            return
        site.window.failure(time.monotonic())
        if site.window.pause(time.monotonic()):
            self._desk.log.warning(
                "destination left alone", destination=site.key, reply=str(attempt.answers[0].reply)
            )
            self._send_away(site)

    def _hangs(self, site: Site, batch: list[Waiting]) -> None:
        """An attempt takes long: it keeps its slot at its destination, and leaves the common one to others."""
        first = batch[0].lease.delivery
        if first not in self._speaking:
            return
        if len(self._slow) >= SLOWEST * self._most:
            later = asyncio.get_running_loop().call_later(SLOW, self._hangs, site, batch)
            self._speaking[first] = later
            return
        del self._speaking[first]
        self._slow[first] = len(batch)
        for waiting in batch:
            self._discount(waiting.lease)
        site.slow += 1
        if site.is_closed(time.monotonic()):
            self._send_away(site)
        self._begin()
        self._changed()

    def _send_away(self, site: Site, *, anew: bool = False) -> None:
        for waiting in list(site.turns):
            site.turns.remove(waiting.lease.delivery)
            seconds = 0.0 if anew else self._wait(waiting.lease, site)
            self._desk.run(self._put_back(waiting.lease, seconds))

    def _wait(self, lease: Lease, site: Site) -> float:
        """Seconds for which nobody looks at it again: those of its destination, which else `avoid` sees to."""
        seconds = site.window.pause(time.monotonic())
        if not seconds and self._domains.get(lease.hop or lease.domain) != site.key:
            return HANGING
        return seconds

    async def _put_back(self, lease: Lease, seconds: float) -> None:
        """End a lease without an attempt."""
        with contextlib.suppress(SpoolError):
            await self._desk.spool.put_back(lease, time.time() + seconds)
        self._forget(lease)
        self._changed()

    def _free(self, site: Site, first: Lease) -> None:
        timer = self._speaking.pop(first.delivery, None)
        if timer is not None:
            timer.cancel()
            site.running -= 1
        elif self._slow.pop(first.delivery, None) is not None:
            site.running -= 1
            site.slow -= 1

    def _ended(self, site: Site, batch: list[Waiting]) -> None:
        self._free(site, batch[0].lease)
        if self._desk.final_dots is not None:
            self._desk.final_dots.over(waiting.lease.delivery for waiting in batch)
        for waiting in batch:
            self._tasks.pop(waiting.lease.delivery, None)
            self._forget(waiting.lease)
        self._begin()
        self._tidy(site)
        if not site.full(time.monotonic()) or (self._short and self.wanted()):
            self._changed()

    def _forget(self, lease: Lease) -> None:
        if self.leases.pop(lease.delivery, None) is None:
            return
        self._desk.counters.add("deliveries_running", -1)
        self._discount(lease)

    def _discount(self, lease: Lease) -> None:
        """It counts no longer for what its sender may have at once."""
        if lease.delivery in self._counted:
            self._counted.remove(lease.delivery)
            self._senders[lease.sender] -= 1
            if self._senders[lease.sender] == self._most - 1:  # no longer among those to spare
                self._changed()
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
