"""The MTA-STS policies that were found (RFC 8461): asked for once, kept on disk, renewed before they end.

A policy that was kept protects where somebody keeps its record or its host from us (RFC 8461 §10.2): so it must
outlive a restart.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec

from mxfleet.mail.mta_sts import Asked, Cached, Check, Discovery, Fetch, Fetched, FetchFailed, Told
from mxfleet.mail.mta_sts import discover as discover_policy
from mxfleet.mail.mta_sts import refresh as refresh_policy
from mxfleet.mail.mta_sts_policy import Mode, Policy
from mxfleet.mxd.observe import Log
from mxfleet.mxd.resolver import Resolver

SIZE: Final = 10_000  # policies
AT_ONCE: Final = 20  # web servers asked at the same time
AGAIN: Final = 300.0  # seconds after a failure for which a web server is left alone (RFC 8461 §3.3)
DAILY: Final = 86_400.0  # seconds after which a policy in use is fetched anew (§10.2)
ROUND: Final = 30.0  # seconds between two looks for what is to be renewed

FetchFrom = Callable[[str, str], Awaitable[Fetched | FetchFailed]]
"""(host, path) to the web's answer; see mxd/https.py."""


class Row(msgspec.Struct, frozen=True):
    """A kept policy as it stands in the file."""

    domain: str
    id: str
    fetched: float
    mode: Mode
    max_age: int
    mx: tuple[str, ...]


class Policies:
    """Of the courier's process; nobody else writes the file."""

    def __init__(
        self,
        path: Path,
        resolver: Resolver,
        fetch: FetchFrom,
        log: Log,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` in seconds since the epoch."""
        self._path = path
        self._resolver = resolver
        self._fetch = fetch
        self._log = log
        self._clock = clock
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._asking: dict[str, asyncio.Task[Policy | None]] = {}
        self._failed: dict[str, tuple[float, FetchFailed]] = {}
        self._writing: asyncio.Task[None] | None = None
        self._dirty = False
        self._used: dict[str, float] = {}  # with when they may be renewed, where that failed
        self._kept = _read(path, log)

    async def policy(self, domain: str) -> Policy | None:
        """What holds for a domain now, None where it has no policy; who asks at the same time gets the same."""
        asked = self._asking.get(domain)
        if asked is None:
            asked = asyncio.get_running_loop().create_task(self._discover(domain))
            self._asking[domain] = asked
            asked.add_done_callback(lambda _: self._asking.pop(domain, None))
        return await asyncio.shield(asked)

    async def keep_fresh(self) -> None:
        """Renew policies that mail goes by, before they end; runs until it is cancelled."""
        while True:
            await asyncio.sleep(ROUND)
            await self.renew()

    async def renew(self) -> None:
        """One look for what is to be renewed; what failed a while ago takes no other's turn."""
        now = self._clock()
        due = [domain for domain in self._used if domain in self._kept and self._is_due(domain, now)]
        for domain in sorted(due, key=lambda domain: self._used[domain])[:AT_ONCE]:
            cached = self._kept.get(domain)
            if cached is not None:  # it may have ended while others were asked
                self._learn(domain, cached, await self._drive(refresh_policy(domain, cached, now)))

    async def close(self) -> None:
        """Finish what is being written."""
        for task in list(self._asking.values()):
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        if self._writing is not None:
            await self._writing

    def _is_due(self, domain: str, now: float) -> bool:
        cached = self._kept[domain]
        return now >= max(cached.fetched + min(DAILY, cached.policy.max_age / 2), self._used[domain])

    async def _discover(self, domain: str) -> Policy | None:
        cached = self._kept.get(domain)
        found = await self._drive(discover_policy(domain, cached, self._clock()))
        self._learn(domain, cached, found)
        return found.cached.policy if found.cached is not None else None

    def _learn(self, domain: str, before: Cached | None, found: Discovery) -> None:
        if found.failure and self._failed.get(domain, (0.0, None))[0] <= self._clock():
            self._failed[domain] = (self._clock() + AGAIN, FetchFailed(found.problem))
            while len(self._failed) > SIZE:
                del self._failed[next(iter(self._failed))]
            held = "an earlier policy holds" if found.cached else "as if it had none"
            self._log.warning("no MTA-STS policy", domain=domain, reason=found.problem, then=held)
        if found.cached is None:
            self._kept.pop(domain, None)
            self._used.pop(domain, None)
        else:
            self._used[domain] = self._clock() + AGAIN if found.problem else 0.0
            self._kept.pop(domain, None)
            self._kept[domain] = found.cached  # last in the order: used last
            while len(self._kept) > SIZE:
                gone = next(iter(self._kept))
                del self._kept[gone]
                self._used.pop(gone, None)
        if found.fetched and found.cached is not None:
            self._log.info("MTA-STS policy", domain=domain, mode=found.cached.policy.mode, id=found.cached.id)
        if found.fetched or (before is not None and found.cached is None):
            self._save()

    async def _drive(self, check: Check) -> Discovery:
        try:
            asked = next(check)
            while True:
                asked = check.send(await self._tell(asked))
        except StopIteration as end:
            found: Discovery = end.value
            return found

    async def _tell(self, asked: Asked) -> Told:
        if not isinstance(asked, Fetch):
            return await self._resolver.ask(asked)
        until, failed = self._failed.get(asked.host.partition(".")[2], (0.0, FetchFailed("")))
        if until > self._clock():
            return failed
        async with self._gate:
            return await self._fetch(asked.host, asked.path)

    def _save(self) -> None:
        """Write the file, once more where something changes meanwhile; mail does not wait for it."""
        self._dirty = True
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        while self._dirty:
            self._dirty = False
            octets = msgspec.json.encode([_row(domain, cached) for domain, cached in self._kept.items()])
            try:
                await asyncio.to_thread(_replace, self._path, octets)
            except OSError as error:
                self._log.error("cannot keep MTA-STS policies", exception=error)


def _row(domain: str, cached: Cached) -> Row:
    policy = cached.policy
    return Row(domain, cached.id, cached.fetched, policy.mode, policy.max_age, policy.mx)


def place(spool: str) -> Path:
    """The file with the policies that are kept, beside the spool."""
    return Path(spool).with_name("mta-sts.json")


def kept(path: Path) -> dict[str, Cached]:
    """What the service keeps, by domain, ended policies included; raises OSError and msgspec.MsgspecError."""
    try:
        rows = msgspec.json.decode(path.read_bytes(), type=list[Row])
    except FileNotFoundError:
        return {}
    return {row.domain: Cached(Policy(row.mode, row.max_age, row.mx), row.id, row.fetched) for row in rows}


def _read(path: Path, log: Log) -> dict[str, Cached]:
    """What an earlier life kept; a file that cannot be read is as good as none, and is said."""
    try:
        return kept(path)
    except (OSError, msgspec.MsgspecError) as error:
        log.error("the kept MTA-STS policies cannot be read", exception=error)
        return {}


def _replace(path: Path, octets: bytes) -> None:
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
