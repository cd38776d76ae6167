"""The courier: one process that takes what is due, tries it, and writes down what became of it."""

import asyncio
import contextlib
import os
import time
from collections import Counter
from typing import Final

from mxfleet.errors import SpoolError
from mxfleet.mail.smtp.delivery import RecipientResult
from mxfleet.mxd import bounce, schedule
from mxfleet.mxd.admin import Admin
from mxfleet.mxd.deliver import Deliverer
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.dialogue import Attempt
from mxfleet.mxd.health import Health
from mxfleet.mxd.resolver import Resolver, RoutingResolver
from mxfleet.mxd.route import Router
from mxfleet.mxd.spool.protocol import Lease, Notice, Result

LEASE: Final = 30.0  # seconds after which another may take over what we hold
BATCH: Final = 50
NAP: Final = 60.0  # seconds without being woken after which it looks anyway
DRAIN: Final = 20.0  # seconds that attempts under way get to finish
SWEEP: Final = 7200.0  # seconds after which a half-received body belongs to nobody
EXPIRED: Final = "undelivered for too long"


class Courier:
    """Runs attempts, each its own task, within the limits of the settings."""

    def __init__(self, desk: Desk, health: Health, wake: int) -> None:
        """`wake` is the pipe on which workers report new mail."""
        self._desk = desk
        self._spool = desk.spool
        self._wake = wake
        self._owner = desk.settings.node.name
        self._limits = desk.settings.delivery
        self._resolver = Resolver(self._limits.resolver)
        dns = RoutingResolver(self._resolver)
        self._router = Router(desk.settings, dns, desk.configuration.passwords)
        self._deliverer = Deliverer(desk, self._router)
        self._admin = Admin(desk, health, self.look)
        self._running: dict[int, tuple[Lease, asyncio.Task[None]]] = {}
        self._held: Counter[str] = Counter()  # leases a destination, waiting for a slot or being tried
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._news = asyncio.Event()

    def look(self) -> None:
        """Something may be due."""
        self._news.set()

    async def run(self, stop: asyncio.Event, ready: asyncio.Event) -> None:
        """Deliver until told to stop."""
        loop = asyncio.get_running_loop()
        await self._spool.release(self._owner, time.time())  # what an earlier life held
        await self._admin.open()
        loop.add_reader(self._wake, self._woken)
        ready.set()
        ending = loop.create_task(stop.wait())
        ending.add_done_callback(lambda _: self.look())
        heart = loop.create_task(self._beat())
        try:
            while not stop.is_set():
                self._news.clear()
                if not await self._take() and not stop.is_set():
                    await self._sleep()
        finally:
            ending.cancel()
            self._admin.close()
            await self._drain()
            heart.cancel()

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 65_536)
        self.look()

    async def _take(self) -> bool:
        """Start what is due and fits the limits; whether there was anything."""
        room = min(self._limits.attempts - len(self._running), BATCH)
        if room <= 0:
            return False
        each = self._limits.per_destination
        try:
            leases = await self._spool.claim(
                self._owner, time.time(), LEASE, room, avoid=self._avoid(), each=each
            )
        except SpoolError as error:
            self._desk.log.error("cannot claim", exception=error)
            await asyncio.sleep(1.0)
            return False
        for lease in leases:
            self._start(lease)
        return bool(leases)

    def _avoid(self) -> set[str]:
        """The domains whose destination has all that it may have."""
        full = [key for key, count in self._held.items() if count >= self._limits.per_destination]
        return {domain for key in full for domain in self._router.domains(key)}

    async def _sleep(self) -> None:
        """Until something is due, or somebody says so."""
        if len(self._running) >= self._limits.attempts:
            await self._news.wait()
            return
        try:
            due = await self._spool.next_due(self._avoid())
        except SpoolError as error:
            self._desk.log.error("cannot read the queue", exception=error)
            due = time.time() + 1.0
        wait = NAP if due is None else min(max(due - time.time(), 0.0) + 0.001, NAP)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._news.wait()

    def _start(self, lease: Lease) -> None:
        destination = self._router.destination(lease.domain)
        self._held[destination] += 1
        task = self._desk.run(self._try(lease, destination))
        self._running[lease.delivery] = (lease, task)
        self._desk.counters.add("deliveries_running")
        task.add_done_callback(lambda _: self._ended(lease, destination))

    def _ended(self, lease: Lease, destination: str) -> None:
        del self._running[lease.delivery]
        self._held[destination] -= 1
        if not self._held[destination]:
            del self._held[destination]
            self._slots.pop(destination, None)
        self._desk.counters.add("deliveries_running", -1)
        self.look()

    async def _try(self, lease: Lease, destination: str) -> None:
        slots = self._slots.setdefault(destination, asyncio.Semaphore(self._limits.per_destination))
        async with slots:
            self._desk.counters.add("attempts")
            started = time.monotonic()
            try:
                attempt = await self._deliverer.attempt(lease)
            except SpoolError as error:  # the body cannot be read; the lease ends, and it is tried again
                self._desk.log.error("cannot read", trace=lease.message.envelope.trace, exception=error)
                return
            now = time.time()
            due = schedule.next_due(
                now, lease.attempts + 1, lease.message.envelope.expires, self._desk.settings.retry
            )
            results = _results(lease, attempt, gives_up=due is None)
            notice = self._notice(lease, attempt, results, now)
            await self._record(lease, results, due or now, notice)
            self._report(lease, attempt, results, due, time.monotonic() - started)

    async def _record(self, lease: Lease, results: list[Result], due: float, notice: Notice | None) -> None:
        """Write it down; a full disk is no reason to forget what was delivered, while this process lives."""
        while True:
            try:
                kept = await self._spool.record(lease, results, due, notice)
            except SpoolError as error:
                if self._desk.closing:
                    return
                self._desk.log.error("cannot record", trace=lease.message.envelope.trace, exception=error)
                await asyncio.sleep(1.0)
                continue
            if not kept:
                self._desk.log.error("lease lost", trace=lease.message.envelope.trace, domain=lease.domain)
            elif notice is not None:
                self._desk.counters.add("bounces")
                self._desk.log.info(
                    "bounced", trace=lease.message.envelope.trace, bounce=notice.envelope.trace
                )
            return

    def _notice(self, lease: Lease, attempt: Attempt, results: list[Result], now: float) -> Notice | None:
        message = lease.message
        failures = [
            bounce.Failure(r.address, answer.reply, result.reply, attempt.host if answer.remote else "")
            for r, answer, result in zip(lease.recipients, attempt.answers, results, strict=True)
            if result.state == "failed"
        ]
        if not failures or not bounce.wanted(message.envelope):
            return None
        settings = self._desk.settings
        reporter = bounce.Reporter(
            settings.node.hostname, settings.service.postmaster, float(settings.retry.lifetime)
        )
        return bounce.notice(reporter, message, failures, self._desk.trace_ids(), now)

    def _report(
        self, lease: Lease, attempt: Attempt, results: list[Result], due: float | None, seconds: float
    ) -> None:
        """One line for each recipient: the remote's words, and when it is tried again."""
        log, counters = self._desk.log, self._desk.counters
        for recipient, answer, result in zip(lease.recipients, attempt.answers, results, strict=True):
            event = "deferred" if result.state == "waiting" else result.state
            counters.add(event)
            counters.add("doubtful", answer.doubtful)
            log.info(
                event,
                trace=lease.message.envelope.trace,
                recipient=recipient.address,
                host=attempt.host,
                address=attempt.address,
                tls=attempt.tls,
                reply=result.reply,
                stage=answer.stage,
                attempt=lease.attempts + 1,
                seconds=round(seconds, 3),
                **({"next": round(due or 0, 1)} if event == "deferred" else {}),
                **({"doubtful": True} if answer.doubtful else {}),
            )

    async def _beat(self) -> None:
        """Keep the leases of what is running, leave alone what is no longer ours, sweep now and then."""
        while True:
            await asyncio.sleep(LEASE / 3)
            with contextlib.suppress(SpoolError):
                await self._spool.sweep(time.time() - SWEEP)
                held = list(self._running.values())
                kept = await self._spool.extend([lease for lease, _ in held], time.time(), LEASE)
                for lease, task in held:
                    if lease.delivery not in kept and lease.delivery in self._running:
                        task.cancel()

    async def _drain(self) -> None:
        tasks = [task for _, task in self._running.values()]
        if tasks:
            _, unfinished = await asyncio.wait(tasks, timeout=DRAIN)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        await self._deliverer.close()
        await self._resolver.close()
        with contextlib.suppress(SpoolError):
            await self._spool.release(self._owner, time.time())


def _results(lease: Lease, attempt: Attempt, *, gives_up: bool) -> list[Result]:
    """What the spool is told of each recipient; who gives up says so beside the last reply."""
    pairs = zip(lease.recipients, attempt.answers, strict=True)
    return [_result(recipient.number, answer, gives_up) for recipient, answer in pairs]


def _result(number: int, answer: RecipientResult, gives_up: bool) -> Result:
    reply = str(answer.reply)
    if answer.status == "deferred":
        return (
            Result(number, "failed", f"{EXPIRED}: {reply}") if gives_up else Result(number, "waiting", reply)
        )
    return Result(number, answer.status, reply)
