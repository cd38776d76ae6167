"""One mail transaction from the first octet of its message to the commit: gather, stamp, sign, spool."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

from mxfleet.errors import MessageError, SpoolError
from mxfleet.mail.address import Mailbox
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.events import MailFrom
from mxfleet.mail.smtp.notification import RcptDsn
from mxfleet.mxd import forwarding, policy
from mxfleet.mxd.desk import Client, Desk
from mxfleet.mxd.inspection import INLINE, Arrived, Finding, Inspection
from mxfleet.mxd.memory import FULL
from mxfleet.mxd.spool.protocol import CHUNK, Envelope, SpoolFull, Staged
from mxfleet.mxd.stamp import own_hops, scan, stamp

NO_ROOM: Final = Reply(452, "4.3.1", "No room for the message now, try again later")
NO_COMMIT: Final = Reply(451, "4.3.0", "The message could not be stored, try again later")
NOT_UNDERSTOOD: Final = Reply(451, "4.3.0", "This host could not deal with that, try again later")
AHEAD: Final = 4 * CHUNK  # octets that may wait for the spool before the client has to


class Transaction:
    """Takes a message in pieces; what exceeds a chunk goes to the spool while the rest still arrives."""

    def __init__(
        self,
        desk: Desk,
        client: Client,
        mail: MailFrom,
        recipients: tuple[Mailbox, ...],
        inspection: Inspection | None,
        wishes: Mapping[Mailbox, RcptDsn] = {},
    ) -> None:
        """`inspection` reads the message on its way, None where nobody wants to know what is in it.

        `wishes` are NOTIFY and ORCPT of the recipients who have any (RFC 3461).
        """
        self.trace = desk.trace_ids()
        self.failed: Reply | None = None
        self._desk = desk
        self._client = client
        self._mail = mail
        self._recipients = recipients
        self._received = time.time()
        self._pieces: list[bytes] = []
        self._octets = 0
        self._held = 0  # of it and what is being stored, in the memory of all
        self._first = b""  # the first chunk, once it was staged: the header section is in it
        self._staged: Staged | None = None
        self._staging: asyncio.Task[None] | None = None
        self._inspection = inspection
        self._scanned: tuple[int, str] | None = None  # what the inspection saw of hops and Message-ID
        self._wishes = wishes
        self._facts: Mapping[str, object] = {}
        self._passed = False

    @property
    def ahead(self) -> bool:
        """Whether the client should wait until the spool has caught up."""
        return self._octets > AHEAD

    def push(self, data: bytes, caught_up: Callable[[], None]) -> None:
        """Take a piece; `caught_up` is called after each chunk that was stored, and when `failed` is set."""
        if self.failed is not None:
            return
        self._pieces.append(data)
        self._octets += len(data)
        memory = self._desk.memory
        memory.held += len(data)
        self._held += len(data)
        if memory.full:
            self.failed = self._out_of_memory()
            asyncio.get_running_loop().call_soon(caught_up)
        elif self._octets > CHUNK and self._staging is None:
            self._staging = asyncio.get_running_loop().create_task(self._stage(caught_up))

    async def _stage(self, caught_up: Callable[[], None]) -> None:
        inspection = self._inspection
        try:
            while self._octets > CHUNK:
                if inspection is not None and not inspection.begun:
                    self._pieces = [inspection.begin(b"".join(self._pieces), whole=False)]
                    self._octets = len(self._pieces[0])
                    continue
                chunk = self._take_chunk()
                self._first = self._first or chunk
                if inspection is not None:
                    await inspection.feed_aside(chunk)
                self._staged = await self._desk.spool.stage(self._staged, chunk)
                self._let_go(CHUNK)
                caught_up()
        except Exception as error:  # whatever it was, the client must be told
            self.failed = self._trouble(error)
            caught_up()
        finally:
            self._staging = None

    def _take_chunk(self) -> bytes:
        gathered = b"".join(self._pieces)
        self._pieces = [gathered[CHUNK:]]
        self._octets = len(gathered) - CHUNK
        return gathered[:CHUNK]

    def _let_go(self, octets: int) -> None:
        """So much of it is held no longer."""
        octets = min(octets, self._held)
        self._held -= octets
        self._desk.memory.held -= octets

    def _out_of_memory(self) -> Reply:
        self.drop()
        self._desk.log.error(
            "message refused, memory is full", trace=self.trace, limit="memory", client=self._client.address
        )
        return FULL

    def drop(self) -> None:
        """The message will not be accepted; what is in the spool of it is forgotten."""
        if self._staging is not None:
            self._staging.cancel()
        self._discard()

    def _discard(self) -> None:
        self._pieces.clear()
        self._octets = 0
        self._let_go(self._held)
        if self._staged is not None and not self._desk.closing:
            self._desk.spool.discard(self._staged).add_done_callback(_forget)
        self._staged = None

    def finish(self, size: int, done: Callable[[Reply], None]) -> None:
        """The whole message is here: `done` gets the reply, at once where it is refused, else after the commit."""
        if self.failed is not None:
            done(self.failed)
            return
        if self._staging is not None or self._octets > INLINE:
            self._desk.run(self._finish_later(size, done))
            return
        try:
            rest = b"".join(self._pieces)
            if self._inspection is None:
                self._accept(size, rest, b"", done)
                return
            rest = self._inspection.begin(rest, whole=True)
            self._inspection.feed(rest)
            self._conclude(self._inspection, size, rest, done)
        except Exception as error:  # whatever it was, the client must be told
            done(self._trouble(error))

    async def _finish_later(self, size: int, done: Callable[[Reply], None]) -> None:
        try:
            if self._staging is not None:
                await self._staging
            if self.failed is not None:
                done(self.failed)
                return
            rest = b"".join(self._pieces)
            if self._inspection is None:
                self._accept(size, rest, b"", done)
                return
            rest = self._inspection.begin(rest, whole=True)
            await self._inspection.feed_aside(rest)
            self._conclude(self._inspection, size, rest, done)
        except Exception as error:  # whatever it was, the client must be told
            done(self._trouble(error))

    def _conclude(
        self, inspection: Inspection, size: int, rest: bytes, done: Callable[[Reply], None]
    ) -> None:
        self._scanned = inspection.scanned
        stored = len(rest) + (self._staged.chunks * CHUNK if self._staged else 0)
        found = inspection.conclude(Arrived(self.trace, stored, lambda: self._stored(rest)))
        if isinstance(found, Finding):
            self._found(found, size, rest, done)
        else:
            self._desk.run(self._conclude_later(found, size, rest, done))

    async def _conclude_later(
        self, found: Awaitable[Finding], size: int, rest: bytes, done: Callable[[Reply], None]
    ) -> None:
        try:
            self._found(await found, size, rest, done)
        except Exception as error:  # whatever it was, the client must be told
            done(self._trouble(error))

    def _found(self, found: Finding, size: int, rest: bytes, done: Callable[[Reply], None]) -> None:
        self._facts, self._passed = found.facts, found.passed
        self._inspection = None  # what it read is not needed while the commit is waited for
        if found.refusal is not None:
            done(self._refuse(found.refusal))
            return
        if found.marked:
            self._desk.counters.add("messages_marked")
        self._accept(size, rest, found.head, done)

    async def _stored(self, rest: bytes) -> AsyncIterator[bytes]:
        """The message again, for who wants to read it whole."""
        if self._staged is not None:
            for number in range(self._staged.chunks):
                yield await self._desk.spool.chunk(self._staged.message, number)
        yield rest

    def _accept(self, size: int, rest: bytes, head: bytes, done: Callable[[Reply], None]) -> None:
        first = self._first or rest
        hops, message_id = self._scanned or scan(first)
        service = self._desk.settings.service
        own = own_hops(first, {service.hostname, *service.names}) if hops > policy.MAX_OWN_HOPS else 0
        refusal = policy.hops(hops, own)
        if refusal is not None:
            done(self._refuse(refusal))
            return
        self._pieces.clear()
        envelope = self._envelope(size, message_id)
        addresses = [str(mailbox) for mailbox in self._recipients]
        try:
            commit = self._desk.spool.accept(
                envelope,
                addresses,
                head
                + stamp(
                    self._desk.settings.node.hostname,
                    self._client,
                    self.trace,
                    self._received,
                    self._recipients,
                ),
                rest,
                self._staged,
            )
        except SpoolError as error:
            done(self._trouble(error))
            return
        commit.add_done_callback(lambda future: done(self._committed(future, envelope, addresses)))

    def _envelope(self, size: int, message_id: str) -> Envelope:
        mail, client = self._mail, self._client
        return Envelope(
            trace=self.trace,
            sender=str(mail.reverse_path) if mail.reverse_path else "",
            received=self._received,
            expires=self._received + self._desk.settings.retry.lifetime,
            submitter=client.account.address if client.account else "",
            client=client.address,
            helo=client.hello,
            eight_bit=mail.body == "8BITMIME",
            utf8=mail.utf8,
            size=size,
            message_id=message_id,
            passed=self._passed,
            ret=mail.dsn.ret,
            envid=mail.dsn.envid,
            notify={str(who): wish.notify for who, wish in self._wishes.items() if wish.notify},
            orcpt={str(who): wish.orcpt for who, wish in self._wishes.items() if wish.orcpt},
            rewritten="" if client.account else self._rewritten(),
        )

    def _rewritten(self) -> str:
        configuration, sender = self._desk.configuration, self._mail.reverse_path
        return forwarding.reverse_path(
            configuration.directory, configuration.forwarding, sender, self._recipients, self._received
        )

    def _committed(self, commit: asyncio.Future[None], envelope: Envelope, recipients: list[str]) -> Reply:
        self._let_go(self._held)
        error = commit.exception()
        if error is not None:
            return self._trouble(error)
        self._desk.committed_at = time.monotonic()
        self._desk.counters.add("messages_accepted")
        self._desk.counters.add("octets_accepted", envelope.size)
        self._desk.log.info(
            "accepted",
            trace=self.trace,
            client=envelope.client,
            sender=envelope.sender,
            recipients=recipients,
            size=envelope.size,
            message_id=envelope.message_id,
            submitter=envelope.submitter,
            protocol=self._client.protocol,
            seconds=round(time.time() - self._received, 4),
            **self._facts,
        )
        return Reply(250, "2.0.0", f"accepted as {self.trace}")

    def _refuse(self, reply: Reply) -> Reply:
        self._discard()
        self._desk.counters.add("messages_deferred" if reply.temporary else "messages_refused")
        self._desk.log.info(
            "refused",
            trace=self.trace,
            client=self._client.address,
            sender=str(self._mail.reverse_path or ""),
            reply=str(reply),
            **self._facts,
        )
        return reply

    def _trouble(self, error: BaseException) -> Reply:
        if isinstance(error, MessageError):
            return self._refuse(Reply(550, "5.6.0", f"Not a well-formed message: {error}"))
        self._discard()
        if not isinstance(error, SpoolError):
            self._desk.log.error("mistake in mxd", trace=self.trace, exception=error)
            return NOT_UNDERSTOOD
        self._desk.counters.add("spool_failures")
        self._desk.log.error("not stored", trace=self.trace, exception=error)
        return NO_ROOM if isinstance(error, SpoolFull) else NO_COMMIT


def _forget(future: asyncio.Future[None]) -> None:
    future.exception()  # what could not be discarded is swept
