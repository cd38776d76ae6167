"""One mail transaction from the first octet of its message to the commit: gather, stamp, sign, spool."""

import asyncio
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from mxfleet.errors import MessageError, SpoolError
from mxfleet.mail.address import Mailbox
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.events import MailFrom
from mxfleet.mail.trace import Received
from mxfleet.mxd import policy, signing
from mxfleet.mxd.desk import Client, Desk
from mxfleet.mxd.spool.protocol import CHUNK, Envelope, SpoolFull, Staged

NO_ROOM: Final = Reply(452, "4.3.1", "No room for the message now, try again later")
NO_COMMIT: Final = Reply(451, "4.3.0", "The message could not be stored, try again later")
AHEAD: Final = 4 * CHUNK  # octets that may wait for the spool before the client has to

_MESSAGE_ID = re.compile(rb"\s*(<[!-~]{1,250}>)")


class Transaction:
    """Takes a message in pieces; what exceeds a chunk goes to the spool while the rest still arrives."""

    def __init__(self, desk: Desk, client: Client, mail: MailFrom, recipients: tuple[Mailbox, ...]) -> None:
        self.trace = desk.trace_ids()
        self.failed: Reply | None = None
        self._desk = desk
        self._client = client
        self._mail = mail
        self._recipients = recipients
        self._received = time.time()
        self._pieces: list[bytes] = []
        self._octets = 0
        self._first = b""  # the first chunk, once it was staged: the header section is in it
        self._staged: Staged | None = None
        self._staging: asyncio.Task[None] | None = None
        self._signing = signing.Signing(desk, client.account) if client.account else None

    @property
    def ahead(self) -> bool:
        """Whether the client should wait until the spool has caught up."""
        return self._octets > AHEAD

    def push(self, data: bytes, caught_up: Callable[[], None]) -> None:
        """Take a piece; `caught_up` is called after each chunk that was stored, and when `failed` is set."""
        self._pieces.append(data)
        self._octets += len(data)
        if self._octets > CHUNK and self._staging is None and self.failed is None:
            self._staging = asyncio.get_running_loop().create_task(self._stage(caught_up))

    async def _stage(self, caught_up: Callable[[], None]) -> None:
        try:
            while self._octets > CHUNK:
                chunk = self._take_chunk()
                self._first = self._first or chunk
                if self._signing is not None:
                    await self._signing.push(chunk)
                self._staged = await self._desk.spool.stage(self._staged, chunk)
                caught_up()
        except (SpoolError, MessageError) as error:
            self.failed = self._trouble(error)
            caught_up()
        finally:
            self._staging = None

    def _take_chunk(self) -> bytes:
        gathered = b"".join(self._pieces)
        self._pieces = [gathered[CHUNK:]]
        self._octets = len(gathered) - CHUNK
        return gathered[:CHUNK]

    def drop(self) -> None:
        """The message will not be accepted; what is in the spool of it is forgotten."""
        if self._staging is not None:
            self._staging.cancel()
        self._discard()

    def _discard(self) -> None:
        self._pieces.clear()
        self._octets = 0
        if self._staged is not None and not self._desk.closing:
            self._desk.spool.discard(self._staged).add_done_callback(_forget)
        self._staged = None

    def finish(self, size: int, done: Callable[[Reply], None]) -> None:
        """The whole message is here: `done` gets the reply, at once where it is refused, else after the commit."""
        if self._signing is None and self._staging is None:
            self._accept(size, b"".join(self._pieces), b"", done)
        else:
            self._desk.run(self._finish_later(size, done))

    async def _finish_later(self, size: int, done: Callable[[Reply], None]) -> None:
        try:
            if self._staging is not None:
                await self._staging
            if self.failed is not None:
                done(self.failed)
                return
            rest, head = b"".join(self._pieces), b""
            if self._signing is not None:
                await self._signing.push(rest)
                head, refusal = await self._signing.finish(self._message_id())
                if refusal is not None:
                    done(self._refuse(refusal))
                    return
            self._accept(size, rest, head, done)
        except (SpoolError, MessageError) as error:
            done(self._trouble(error))

    def _message_id(self) -> str:
        return f"{self.trace}@{self._desk.settings.node.hostname}"

    def _accept(self, size: int, rest: bytes, head: bytes, done: Callable[[Reply], None]) -> None:
        hops, message_id = scan(self._first or rest)
        refusal = policy.hops(hops)
        if refusal is not None:
            done(self._refuse(refusal))
            return
        envelope = self._envelope(size, message_id)
        addresses = [str(mailbox) for mailbox in self._recipients]
        try:
            commit = self._desk.spool.accept(envelope, addresses, self._stamp() + head, rest, self._staged)
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
            size=size,
            message_id=message_id,
        )

    def _stamp(self) -> bytes:
        """RFC 5321 §4.4: our Received field."""
        client = self._client
        return Received(
            by=self._desk.settings.node.hostname,
            hello=client.hello,
            address=client.address,
            protocol=client.protocol,
            trace=self.trace,
            date=datetime.fromtimestamp(int(self._received), UTC),
            tls=client.tls,
            recipient=self._recipients[0] if len(self._recipients) == 1 else None,
        ).render()

    def _committed(self, commit: asyncio.Future[None], envelope: Envelope, recipients: list[str]) -> Reply:
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
        )
        return Reply(250, "2.0.0", f"accepted as {self.trace}")

    def _refuse(self, reply: Reply) -> Reply:
        self._discard()
        self._desk.counters.add("messages_refused")
        self._desk.log.info("refused", trace=self.trace, client=self._client.address, reply=str(reply))
        return reply

    def _trouble(self, error: BaseException) -> Reply:
        if isinstance(error, MessageError):
            return self._refuse(Reply(550, "5.6.0", f"Not a well-formed message: {error}"))
        self._discard()
        self._desk.counters.add("spool_failures")
        self._desk.log.error("not stored", trace=self.trace, exception=error)
        return NO_ROOM if isinstance(error, SpoolFull) else NO_COMMIT


def scan(first: bytes) -> tuple[int, str]:
    """Received fields and Message-ID of a message's beginning, without parsing what no field is asked of."""
    end = first.find(b"\r\n\r\n")
    section = first if end < 0 else first[: end + 2]
    lower = b"\n" + section.lower()
    at = lower.find(b"\nmessage-id:")
    match = _MESSAGE_ID.match(section, at + 11) if at >= 0 else None
    return lower.count(b"\nreceived:"), match[1].decode("ascii") if match else ""


def _forget(future: asyncio.Future[None]) -> None:
    future.exception()  # what could not be discarded is swept
