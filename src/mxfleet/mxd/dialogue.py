"""The dialogue with one address of one host: connect, TLS, the transaction, and what it came to."""

import ssl
from collections.abc import AsyncIterator, Sequence

import msgspec

from mxfleet.mail.address import Mailbox, parse_mailbox
from mxfleet.mail.message import needs_utf8
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.client import ClientConfig
from mxfleet.mail.smtp.client_events import BodyWanted, Failed, Outcome, Ready
from mxfleet.mail.smtp.delivery import RecipientResult, Stage, Status, Transaction
from mxfleet.mail.smtp.events import Closed, StartTls
from mxfleet.mail.smtp.notification import MailDsn, RcptDsn
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.idle import IdleConnections
from mxfleet.mxd.outbound import UNREACHABLE, Connection
from mxfleet.mxd.route import Hop
from mxfleet.mxd.spool.values import StoredMessage
from mxfleet.mxd.tls import client_context

NO_FAMILY = Reply(451, "4.4.1", "This node has no address of that family")
NO_HANDSHAKE = Reply(451, "4.7.5", "The TLS handshake failed")


class Attempt(msgspec.Struct, frozen=True):
    """What became of an attempt: an answer for each recipient, in order, and the host whose words they are.

    Not `decided` means that no host has said anything about any recipient: another one may be asked. `reports`
    says that the host took over what the sender wants to be told (DSN, RFC 3461).
    """

    answers: tuple[RecipientResult, ...]
    host: str = ""
    address: str = ""
    tls: str = ""
    decided: bool = True
    reports: bool = False


class Dialogue:
    """Speaks for this node, from its own addresses, under its own name."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._context: ssl.SSLContext = client_context()
        self._idle = IdleConnections()

    async def hold(
        self, hop: Hop, address: str, message: StoredMessage, recipients: tuple[Mailbox, ...]
    ) -> Attempt:
        """Try one address, without TLS where an optional handshake fails (RFC 3207 §4.1, RFC 7435)."""
        kept = self._idle.take((hop, address))
        if kept is not None:
            found = await self._with(kept, hop, address, message, recipients)
            if not _worn_out(found):
                return found
        found = await self._once(hop, address, message, recipients)
        stage = found.answers[0].stage
        if found.decided or hop.tls != "opportunistic" or stage != "starttls":
            return found
        trace = message.envelope.trace
        self._desk.log.warning("TLS failed, trying without", trace=trace, host=hop.host, address=address)
        return await self._once(msgspec.structs.replace(hop, tls="none"), address, message, recipients)

    async def close(self) -> None:
        """End the connections that are kept, and wait for those that are saying good-bye."""
        await self._idle.close()

    async def _once(
        self, hop: Hop, address: str, message: StoredMessage, recipients: tuple[Mailbox, ...]
    ) -> Attempt:
        node = self._desk.settings.node
        source = node.address6 if ":" in address else node.address4
        if not source:
            return same_for_all(recipients, NO_FAMILY, hop.host, address)
        config = ClientConfig(node.hostname, hop.protocol, hop.tls, hop.username, hop.password)
        patience = self._desk.settings.delivery.connect_timeout
        try:
            connection = await Connection.connect(config, address, hop.port, source, patience)
        except OSError as error:
            text = f"No connection to {address} port {hop.port}: {error.strerror or 'no answer in time'}"
            return same_for_all(recipients, Reply(451, "4.4.1", text), hop.host, address)
        return await self._with(connection, hop, address, message, recipients)

    async def _with(
        self,
        connection: Connection,
        hop: Hop,
        address: str,
        message: StoredMessage,
        recipients: tuple[Mailbox, ...],
    ) -> Attempt:
        try:
            found = await self._speak(connection, hop, message, recipients)
        except BaseException:
            if connection.engine.expects == "message":
                self._desk.counters.add("doubtful", len(recipients))
                self._desk.log.warning("abandoned behind the final dot", trace=message.envelope.trace)
            connection.abort()
            raise
        tls, reports = connection.engine.tls, "DSN" in connection.engine.extensions
        self._idle.put((hop, address), connection)
        return msgspec.structs.replace(
            found, host=hop.host, address=address, tls=tls.version if tls else "", reports=reports
        )

    async def _speak(
        self, connection: Connection, hop: Hop, message: StoredMessage, recipients: tuple[Mailbox, ...]
    ) -> Attempt:
        while True:
            match await connection.next():
                case StartTls():
                    if not await connection.start_tls(self._context, hop.host):
                        return same_for_all(recipients, NO_HANDSHAKE, stage="starttls")
                case Ready():
                    connection.engine.send(transaction_of(message, recipients))
                case BodyWanted():
                    async for piece in self._octets(message):
                        await connection.body(piece)
                    connection.engine.end_body()
                case Outcome(results):
                    return Attempt(results, decided=not _undecided(results))
                case Failed(stage, reply, remote):
                    # Whatever the code: a host that takes no session says nothing about the recipients.
                    failed = (RecipientResult(r, "deferred", stage, reply, remote) for r in recipients)
                    return Attempt(tuple(failed), decided=False)
                case Closed():
                    return same_for_all(recipients, UNREACHABLE)

    async def _octets(self, message: StoredMessage) -> AsyncIterator[bytes]:
        yield message.head + message.first
        for number in range(1, message.chunks):
            yield await self._desk.spool.chunk(message.number, number)


def same_for_all(
    recipients: Sequence[Mailbox], reply: Reply, host: str = "", address: str = "", stage: Stage = "greeting"
) -> Attempt:
    """The same answer, in our own words, for everybody; nothing was decided by anybody."""
    status: Status = "failed" if reply.permanent else "deferred"
    answers = (RecipientResult(r, status, stage, reply, remote=False) for r in recipients)
    return Attempt(tuple(answers), host, address, decided=False)


def transaction_of(message: StoredMessage, recipients: tuple[Mailbox, ...]) -> Transaction:
    """What the next host is told, with all that was said to us (RFC 3461 §5.2.1, RFC 6531 §3.4)."""
    envelope = message.envelope
    reverse = parse_mailbox(envelope.sender) if envelope.sender else None
    size = len(message.head) + envelope.size
    names = [str(recipient) for recipient in recipients]
    return Transaction(
        reverse,
        recipients,
        size,
        "8BITMIME" if envelope.eight_bit else "7BIT",
        utf8=envelope.utf8 and needs_utf8(message.head + message.first),
        dsn=MailDsn(envelope.ret, envelope.envid),
        recipient_dsn=tuple(
            RcptDsn(envelope.notify.get(name, ""), envelope.orcpt.get(name, "")) for name in names
        ),
    )


def _worn_out(attempt: Attempt) -> bool:
    """Whether a kept connection came to its end before anything was said about the message: try a fresh one."""
    return all(
        not answer.doubtful
        and answer.status == "deferred"
        and (not answer.remote or (answer.reply.code == 421 and answer.stage in ("mail", "rcpt", "data")))
        for answer in attempt.answers
    )


def _undecided(results: Sequence[RecipientResult]) -> bool:
    """Whether the connection was lost before the host said anything, and nothing may have been delivered."""
    return all(r.status == "deferred" and not r.remote and not r.doubtful for r in results)
