"""One worker process: its sessions, their limits and deadlines, and an end that cuts nobody off mid-message."""

import asyncio
import contextlib
import functools
import ssl
from typing import Final

from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.limits import ServerConfig, Service
from mxfleet.mxd.asking_ahead import AskingAhead
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.health import Health
from mxfleet.mxd.listener import Acceptor, Sockets
from mxfleet.mxd.session import Session

TOO_MANY: Final = Reply(421, "4.7.0", "Too many connections, try again later")
LINGERING: Final = 200  # clients that may wait for their refusal
DRAIN: Final = 20.0  # seconds that transactions under way get to finish

_SERVICES: Final[tuple[Service, ...]] = ("smtp", "submission", "submissions")


class Worker:
    """Accepts and serves until told to stop."""

    def __init__(self, desk: Desk, sockets: Sockets, health: Health) -> None:
        self._desk = desk
        self._sockets = sockets
        self._health = health
        self._sessions: set[Session] = set()
        self._refused: set[Session] = set()  # who stay only to hear it
        self._empty = asyncio.Event()
        self._acceptors: list[Acceptor] = []
        service = desk.settings.service
        self._limit = -(-service.sessions // service.workers)  # this process's share, rounded up

    async def run(self, stop: asyncio.Event, ready: asyncio.Event) -> None:
        """Serve; `ready` is set when everybody is listened to."""
        desk = self._desk
        ahead = AskingAhead(desk)
        desk.call_ahead = ahead.call_ahead
        watching = desk.run(desk.gatherer.watch_lists()) if desk.gatherer is not None else None
        self._listen()
        ready.set()
        while not stop.is_set():
            try:
                async with asyncio.timeout(1.0):
                    await stop.wait()
            except TimeoutError:
                self._expire()
        await self._drain()
        if watching is not None:
            watching.cancel()
        await ahead.close()

    def _listen(self) -> None:
        offered = bool(self._desk.configuration.certificates)
        for service in _SERVICES:
            config = self._desk.server_config(service)
            for listener in self._sockets.get(service, ()):
                if service == "submissions" and not offered:
                    continue
                context = self._context if service == "submissions" else None
                make = functools.partial(self._session, config)
                self._acceptors.append(Acceptor(listener, make, context, self._handshake_failed))
        for listener in self._sockets.get("health", ()):
            self._acceptors.append(Acceptor(listener, self._health.connection))

    def _context(self, address: str) -> ssl.SSLContext:
        return self._desk.configuration.certificates.for_address(address)  # asked anew: a reload replaces it

    def _handshake_failed(self) -> None:
        self._desk.counters.add("tls_failures")

    def _session(self, config: ServerConfig) -> Session:
        return Session(self._desk, config, self._admit, self._ended)

    def _admit(self, session: Session) -> Reply | None:
        """Take a client in; the refusal if it is one too many, who then stays only for that."""
        self._sessions.add(session)
        self._desk.counters.add("connections")
        self._desk.counters.add("sessions")
        full = len(self._sessions) - len(self._refused) > self._limit
        refusal = TOO_MANY if full else self._desk.admission.enter(session.address)
        if refusal is not None:
            self._refuse(session)
        return refusal

    def _refuse(self, session: Session) -> None:
        self._desk.counters.add("refused_connections")
        self._refused.add(session)
        if len(self._refused) > LINGERING:
            session.abort()  # a flood: no words are worth the memory

    def _ended(self, session: Session) -> None:
        self._sessions.discard(session)
        self._desk.counters.add("sessions", -1)
        if session in self._refused:
            self._refused.discard(session)
        else:
            self._desk.admission.leave(session.address)
        if not self._sessions:
            self._empty.set()

    def _expire(self) -> None:
        now = asyncio.get_running_loop().time()
        for session in [s for s in self._sessions if s.overdue(now)]:
            session.expire()

    async def _drain(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN):
                self._say_farewell()
                for acceptor in self._acceptors:  # who was accepted a moment ago is owed a banner
                    await acceptor.greeted()
                self._say_farewell()
                while self._sessions:
                    self._empty.clear()
                    await self._empty.wait()
        for session in list(self._sessions):
            session.abort()
        self._desk.closing = True

    def _say_farewell(self) -> None:
        for session in list(self._sessions):
            session.drain()
