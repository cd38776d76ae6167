"""One attempt to deliver: hop after hop, address after address, until somebody has answered for each recipient."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from mxfleet.errors import AddressError
from mxfleet.mail.address import Mailbox, parse_mailbox
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.client import ClientConfig
from mxfleet.mail.smtp.client_events import BodyWanted, Failed, Outcome, Ready
from mxfleet.mail.smtp.delivery import RecipientResult, Stage, Status, Transaction
from mxfleet.mail.smtp.events import Body, Closed, StartTls
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.outbound import UNREACHABLE, Connection
from mxfleet.mxd.route import Hop, Router, Unroutable
from mxfleet.mxd.spool.protocol import Lease
from mxfleet.mxd.tls import client_context

BAD_ADDRESS: Final = Reply(553, "5.1.3", "Not an address")
HOSTS: Final = 5  # addresses tried in one attempt (RFC 5321 §5.1: at least two)


class Attempt(msgspec.Struct, frozen=True):
    """What became of one attempt: a reply for each recipient, in order, and the host whose words they are."""

    answers: tuple[RecipientResult, ...]
    host: str = ""
    address: str = ""
    tls: str = ""


class Deliverer:
    """Knows how to reach other hosts from this node."""

    def __init__(self, desk: Desk, router: Router) -> None:
        self._desk = desk
        self._router = router
        self._context: ssl.SSLContext = client_context()
        self._closing: set[asyncio.Task[None]] = set()

    async def attempt(self, lease: Lease) -> Attempt:
        """Try once; never raises for what other hosts, the DNS or the network do."""
        recipients, broken = _recipients(lease)
        if broken is not None:
            return broken
        try:
            hops = await self._router.hops(lease.domain)
        except Unroutable as error:
            return _all(recipients, error.reply)
        last = _all(recipients, UNREACHABLE)
        tried = 0
        for hop in hops:
            try:
                addresses = await self._router.addresses(hop)
            except Unroutable as error:
                last = _all(recipients, error.reply, hop.host)
                continue
            for address in addresses:
                if tried >= HOSTS:
                    return last
                found, goes_on = await self._address(hop, address, lease, recipients)
                if not goes_on:
                    return found
                last, tried = found, tried + 1
        return last

    async def _address(
        self, hop: Hop, address: str, lease: Lease, recipients: tuple[Mailbox, ...]
    ) -> tuple[Attempt, bool]:
        """Try one address; whether the next one is worth a try, for nobody there has decided anything."""
        source = self._source(address)
        if source is None:
            return _all(recipients, Reply(451, "4.4.1", "No address of this family here"), hop.host), True
        found, goes_on = await self._dialogue(hop, address, source, lease, recipients)
        if goes_on and hop.tls == "opportunistic" and found.answers[0].stage == "starttls":
            # RFC 3207 §4.1, RFC 7435: a handshake that fails is no reason to keep the message.
            self._desk.log.warning(
                "TLS failed, trying without", trace=lease.message.envelope.trace, host=hop.host
            )
            plain = msgspec.structs.replace(hop, tls="none")
            found, goes_on = await self._dialogue(plain, address, source, lease, recipients)
        return found, goes_on

    def _source(self, address: str) -> str | None:
        """The own address to leave from, so that PTR, EHLO and SPF agree; None where there is none."""
        node = self._desk.settings.node
        return (node.address6 or None) if ":" in address else node.address4

    async def _dialogue(
        self, hop: Hop, address: str, source: str, lease: Lease, recipients: tuple[Mailbox, ...]
    ) -> tuple[Attempt, bool]:
        config = ClientConfig(
            hostname=self._desk.settings.node.hostname,
            protocol=hop.protocol,
            tls=hop.tls,
            username=hop.username,
            password=hop.password,
        )
        patience = self._desk.settings.delivery.connect_timeout
        try:
            connection = await Connection.connect(config, address, hop.port, source, patience)
        except OSError as error:
            text = f"No connection to {address} port {hop.port}: {error.strerror or 'no answer in time'}"
            return _all(recipients, Reply(451, "4.4.1", text), hop.host, address), True
        try:
            return await self._speak(connection, hop, address, lease, recipients)
        except BaseException:
            connection.abort()
            raise

    async def _speak(
        self, connection: Connection, hop: Hop, address: str, lease: Lease, recipients: tuple[Mailbox, ...]
    ) -> tuple[Attempt, bool]:
        envelope, tls = lease.message.envelope, ""
        while True:
            match await connection.next():
                case StartTls():
                    if not await connection.start_tls(self._context, hop.host):
                        failed = Reply(451, "4.7.5", "TLS handshake failed")
                        return _all(recipients, failed, hop.host, address, stage="starttls"), True
                    tls = connection.engine.tls.version if connection.engine.tls else ""
                case Ready():
                    reverse = parse_mailbox(envelope.sender) if envelope.sender else None
                    size = len(lease.message.head) + envelope.size
                    body: Body = "8BITMIME" if envelope.eight_bit else "7BIT"
                    connection.engine.send(Transaction(reverse, recipients, size, body))
                case BodyWanted():
                    async for piece in self._octets(lease):
                        await connection.body(piece)
                    connection.engine.end_body()
                case Outcome(results):
                    self._close(connection)
                    return Attempt(results, hop.host, address, tls), _undecided(results)
                case Failed(stage, reply, remote):
                    self._close(connection)
                    # Whatever the code: a host that takes no session says nothing about the recipients.
                    answers = tuple(RecipientResult(r, "deferred", stage, reply, remote) for r in recipients)
                    return Attempt(answers, hop.host, address, tls), True
                case Closed():
                    self._close(connection)
                    return _all(recipients, UNREACHABLE, hop.host, address), True

    async def _octets(self, lease: Lease) -> AsyncIterator[bytes]:
        message = lease.message
        yield message.head + message.first
        for number in range(1, message.chunks):
            yield await self._desk.spool.chunk(message.number, number)

    def _close(self, connection: Connection) -> None:
        """Say QUIT in the background: the answer to it is nobody's concern."""
        task = asyncio.get_running_loop().create_task(connection.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _all(
    recipients: Sequence[Mailbox], reply: Reply, host: str = "", address: str = "", stage: Stage = "greeting"
) -> Attempt:
    """The same answer, in our own words, for everybody."""
    status: Status = "failed" if reply.permanent else "deferred"
    answers = (RecipientResult(r, status, stage, reply, remote=False) for r in recipients)
    return Attempt(tuple(answers), host, address)


def _undecided(results: Sequence[RecipientResult]) -> bool:
    """Whether the host has said nothing about any recipient: it was lost before, and nothing was sent twice."""
    return all(r.status == "deferred" and not r.remote and not r.doubtful for r in results)


def _recipients(lease: Lease) -> tuple[tuple[Mailbox, ...], Attempt | None]:
    try:
        return tuple(parse_mailbox(r.address) for r in lease.recipients), None
    except AddressError:  # cannot be: the engine has parsed them
        somebody = tuple(Mailbox(r.address, "") for r in lease.recipients)
        return (), _all(somebody, BAD_ADDRESS)
