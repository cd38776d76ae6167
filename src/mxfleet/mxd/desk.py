"""What all sessions of one process share, in one place, so that a session is nothing but its own state."""

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Final

import msgspec

from mxfleet.mail.smtp.events import TlsInfo
from mxfleet.mail.smtp.limits import ServerConfig, ServerLimits, Service
from mxfleet.mxd.accounts import Account
from mxfleet.mxd.admission import Admission
from mxfleet.mxd.call_ahead import CallAhead
from mxfleet.mxd.configuration import Configuration
from mxfleet.mxd.counters import Row
from mxfleet.mxd.evidence import Gatherer
from mxfleet.mxd.fields import Author
from mxfleet.mxd.final_dots import FinalDots
from mxfleet.mxd.greylist_store import Greylist
from mxfleet.mxd.memory import Memory
from mxfleet.mxd.observe import Log
from mxfleet.mxd.outage import Outage
from mxfleet.mxd.outbox import Outbox
from mxfleet.mxd.resolver import Resolver
from mxfleet.mxd.rspamd import Rspamd
from mxfleet.mxd.rules import Rules
from mxfleet.mxd.shared_table import SharedTables
from mxfleet.mxd.shares import Shares
from mxfleet.mxd.spool.protocol import Spool
from mxfleet.mxd.throttle import LoginThrottle
from mxfleet.mxd.trace import TraceIds

ARRIVING: Final = 65_536  # octets that are read from a connection at a time


class Client(msgspec.Struct, frozen=True):
    """The other side of a session as it stands in Received fields and log lines."""

    address: str
    hello: str
    protocol: str
    tls: TlsInfo | None
    account: Account | None


class Desk:
    """The means of one process: configuration, spool, ids, counters, log."""

    def __init__(
        self,
        configuration: Configuration,
        spool: Spool,
        process: int,
        counters: Row,
        log: Log,
        shares: Shares | None = None,
    ) -> None:
        """`process` is this process's number, from 1; 0 is the courier. Without `shares` it counts for itself."""
        self._first = process == 1  # it tells what all of them see
        self.configuration = configuration
        self.settings = configuration.settings
        self.spool = spool
        self.counters = counters
        self.log = log
        self.trace_ids = TraceIds(self.settings.node.name, process, time.time)
        shares = shares or SharedTables(1).of(0)
        self.admission = Admission(self.settings, shares, log)
        self.throttle = LoginThrottle(self.settings.limits, shares)
        self.memory = Memory(self.settings.limits.memory)
        self.author = Author(self.settings.service, self.settings.node.hostname)
        self.gatherer = self._gatherer()
        self.rspamd = self._rspamd()
        self.greylist = self._greylist()
        self.call_ahead: CallAhead | None = None  # a worker's; see AskingAhead
        self.final_dots: FinalDots | None = None  # the courier's
        self.closing = False
        self.committed_at = float("-inf")  # monotonic time of the last commit that was seen to succeed
        self._tasks: set[asyncio.Task[None]] = set()
        self.outbox = Outbox()
        self.arriving = memoryview(
            bytearray(ARRIVING)
        )  # what a connection reads, until it is taken over at once

    def take_in(self, configuration: Configuration) -> None:
        """Go on with other certificates and DKIM keys: what begins from now on uses them, what is under way does not."""
        self.configuration = configuration

    def _gatherer(self) -> Gatherer | None:
        evidence = self.settings.evidence
        if evidence is None:
            return None
        resolver = Resolver(self.settings.delivery.resolver)
        return Gatherer(evidence, resolver, self.author.name, time.time, self.log, tells=self._first)

    def _greylist(self) -> Greylist | None:
        settings = self.settings
        if self.gatherer is None or all(rules.settings.greylist == "off" for rules in self._all_rules()):
            return None
        path = Path(settings.paths.spool).with_name("greylist.sqlite")
        return Greylist(path, settings.greylist, time.time, self.log)

    def _all_rules(self) -> list[Rules]:
        directory = self.configuration.directory
        return [directory.common, *directory.rules.values()]

    def _rspamd(self) -> Rspamd | None:
        rspamd = self.settings.rspamd
        if rspamd is None or self.gatherer is None:
            return None
        return Rspamd(rspamd, Outage("rspamd", "rspamd_down", self.counters, self.log))

    async def close(self) -> None:
        """Let go of what this process has opened for all its sessions."""
        if self.gatherer is not None:
            await self.gatherer.resolver.close()
        if self.greylist is not None:
            self.greylist.close()

    def run(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run something that a session must not wait for; kept alive and looked after until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("mistake in mxd", exception=error)

    def server_config(self, service: Service) -> ServerConfig:
        """The engine's rules for one listener."""
        service_settings = self.settings.service
        name = service_settings.hostname
        if service != "smtp":
            name = service_settings.submission_hostname or name
        return ServerConfig(
            hostname=name,
            service=service,
            max_size=service_settings.message_size,
            max_recipients=service_settings.recipients,
            offer_starttls=bool(self.configuration.certificates),
            limits=ServerLimits(
                errors=service_settings.errors,
                command_seconds=service_settings.command_timeout,
                data_seconds=service_settings.data_timeout,
            ),
        )
