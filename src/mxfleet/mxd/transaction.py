"""One mail transaction from the first octet of its message to the commit: gather, stage, inspect, spool."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

from mxfleet.errors import SpoolError
from mxfleet.mail.address import Mailbox
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.events import MailFrom
from mxfleet.mail.smtp.notification import RcptDsn
from mxfleet.mxd.desk import Client, Desk
from mxfleet.mxd.inspection import INLINE, Arrived, Finding, Inspection
from mxfleet.mxd.receipt import Receipt
from mxfleet.mxd.spool.protocol import CHUNK, Envelope, Staged

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
        self.failed: Reply | None = None
        self._desk = desk
        self._receipt = Receipt(desk, client, mail, recipients, wishes)
        self._pieces: list[bytes] = []
        self._octets = 0
        self._held = 0  # of it and what is being stored, in the memory of all
        self._first = b""  # the first chunk, once it was staged: the header section is in it
        self._staged: Staged | None = None
        self._staging: asyncio.Task[None] | None = None
        self._inspection = inspection

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
            self.drop()
            self.failed = self._receipt.out_of_memory()
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
                self._accept(size, rest, done)
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
                self._accept(size, rest, done)
                return
            rest = self._inspection.begin(rest, whole=True)
            await self._inspection.feed_aside(rest)
            self._conclude(self._inspection, size, rest, done)
        except Exception as error:  # whatever it was, the client must be told
            done(self._trouble(error))

    def _conclude(
        self, inspection: Inspection, size: int, rest: bytes, done: Callable[[Reply], None]
    ) -> None:
        self._receipt.scanned = inspection.scanned
        stored = len(rest) + (self._staged.chunks * CHUNK if self._staged else 0)
        found = inspection.conclude(Arrived(self._receipt.trace, stored, lambda: self._stored(rest)))
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
        self._receipt.found = found
        self._inspection = None  # what it read is not needed while the commit is waited for
        if found.refusal is not None:
            done(self._refuse(found.refusal))
            return
        if found.marked:
            self._desk.counters.add("messages_marked")
        self._accept(size, rest, done)

    async def _stored(self, rest: bytes) -> AsyncIterator[bytes]:
        """The message again, for who wants to read it whole."""
        if self._staged is not None:
            for number in range(self._staged.chunks):
                yield await self._desk.spool.chunk(self._staged.message, number)
        yield rest

    def _accept(self, size: int, rest: bytes, done: Callable[[Reply], None]) -> None:
        receipt = self._receipt
        envelope = receipt.envelope(self._first or rest, size)
        if isinstance(envelope, Reply):
            done(self._refuse(envelope))
            return
        self._pieces.clear()
        try:
            commit = self._desk.spool.accept(envelope, receipt.addresses, receipt.head(), rest, self._staged)
        except SpoolError as error:
            done(self._trouble(error))
            return
        commit.add_done_callback(lambda future: done(self._committed(future, envelope)))

    def _committed(self, commit: asyncio.Future[None], envelope: Envelope) -> Reply:
        self._let_go(self._held)
        error = commit.exception()
        return self._receipt.accepted(envelope) if error is None else self._trouble(error)

    def _refuse(self, reply: Reply) -> Reply:
        self._discard()
        return self._receipt.refused(reply)

    def _trouble(self, error: BaseException) -> Reply:
        self._discard()
        return self._receipt.trouble(error)


def _forget(future: asyncio.Future[None]) -> None:
    future.exception()  # what could not be discarded is swept
