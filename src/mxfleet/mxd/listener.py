"""Listening sockets: inherited from systemd, or opened on addresses that were given; accepted one at a time."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from mxfleet.errors import ServiceError

SERVICES: Final = ("smtp", "submission", "submissions", "health")
FIRST_DESCRIPTOR: Final = 3  # sd_listen_fds(3)
BACKLOG: Final = 1024
HANDSHAKE: Final = 30.0  # seconds
PENDING: Final = 500  # TLS handshakes under way; beyond, clients are turned away without a word
REST: Final = 0.2  # seconds to wait for descriptors or memory
TOGETHER: Final = 8  # connections taken at one wake-up: a loop with much to do wakes up seldom
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Sockets = Mapping[str, tuple[socket.socket, ...]]


@lru_cache(maxsize=4096)  # our own is asked for at each connection
def plain_address(host: str) -> str:
    """An IP address as everybody writes it: `::ffff:192.0.2.1`, from a socket for both families, is `192.0.2.1`."""
    address = ip_address(host.partition("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or address)


def inherited(environment: Mapping[str, str], process: int) -> Sockets:
    """The sockets that systemd handed over, by FileDescriptorName=; none if it handed over none.

    Raises ServiceError for a name that this service does not serve.
    """
    if environment.get("LISTEN_PID") != str(process):
        return {}
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, tuple[socket.socket, ...]] = {}
    for number in range(int(environment.get("LISTEN_FDS", "0"))):
        name = names[number] if number < len(names) else "?"
        if name not in SERVICES:
            raise ServiceError(
                f"socket {number} is called {name!r}", hint=f"FileDescriptorName= one of {' '.join(SERVICES)}"
            )
        opened = socket.socket(fileno=FIRST_DESCRIPTOR + number)
        opened.setblocking(False)
        os.set_inheritable(opened.fileno(), False)
        found[name] = (*found.get(name, ()), opened)
    return found


def opened(addresses: Mapping[str, list[tuple[str, int]]]) -> Sockets:
    """Sockets on explicit addresses; raises ServiceError where one cannot be had."""
    found: dict[str, tuple[socket.socket, ...]] = {}
    for name, places in addresses.items():
        for host, port in places:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((host, port))
                listener.listen(BACKLOG)
            except OSError as error:
                listener.close()
                raise ServiceError(
                    f"{name}: cannot listen on {host} port {port}: {error.strerror}"
                ) from error
            listener.setblocking(False)
            found[name] = (*found.get(name, ()), listener)
    return found


class Acceptor:
    """Accepts from one socket that other processes share.

    A few connections for each wake-up, unlike asyncio's own server, which would take the whole backlog and leave
    the other processes without work; and without its listen(), which would shorten the backlog for all.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        context: Callable[[str], ssl.SSLContext] | None = None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """`context` chooses the TLS context by local address, None is for clear text; `failed` counts handshakes."""
        self._listener = listener
        self._protocol = protocol
        self._context = context
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._listen()

    def _listen(self) -> None:
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more; the socket stays open for those who share it."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._listener.fileno())

    async def greeted(self) -> None:
        """Wait until everybody who was accepted is in a session, or has failed its handshake."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self) -> None:
        for _ in range(TOGETHER):
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if (
                    error.errno in _EXHAUSTED
                ):  # the client stays in the backlog; to ask again at once would spin
                    self._loop.remove_reader(self._listener.fileno())
                    self._again = self._loop.call_later(REST, self._listen)
                return  # else another process was faster, or the client has gone, or that was all
            self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        if len(self._tasks) >= PENDING:
            connection.close()
            return
        connection.setblocking(False)
        task = self._loop.create_task(self._connect(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            local = plain_address(connection.getsockname()[0])
            context = self._context(local) if self._context else None
            await self._loop.connect_accepted_socket(
                self._protocol,
                connection,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE if context else None,
            )
        except (OSError, ssl.SSLError, TimeoutError):  # the handshake failed, or the client went away
            connection.close()
            self._failed()
