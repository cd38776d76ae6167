"""What is done to submitted mail before it is spooled: missing fields, whose From: it is, DKIM signatures.

RSA signing takes a millisecond and gives up the interpreter lock: it runs in threads, beside the sessions.
"""

import asyncio
import time
from datetime import UTC, datetime

from mxfleet.mail.author import authors
from mxfleet.mail.dkim.sign import Signer
from mxfleet.mail.message import Headers, parse_headers
from mxfleet.mail.trace import missing_for_submission
from mxfleet.mxd import policy
from mxfleet.mxd.accounts import Account
from mxfleet.mxd.desk import Desk
from mxfleet.mxd.inspection import Arrived, Finding, Inspection, threads


class Signing(Inspection):
    """Reads one submitted message on its way to the spool; gives what is to be put before it."""

    def __init__(self, desk: Desk, account: Account) -> None:
        super().__init__()
        self._desk = desk
        self._account = account
        self._headers: Headers
        self._addresses: tuple[str, ...] = ()
        self._signer: Signer | None = None

    def header(self, headers: Headers) -> Headers:
        """RFC 6376 §5.1: only a domain that signs with its own key; aligned with From: for DMARC."""
        self._headers = self._desk.author.clean(headers)
        found = authors(headers)
        self._addresses = tuple(f"{author.local}@{author.domain}" for author in found)
        domains = {author.domain for author in found}
        keys = self._desk.configuration.keys.get(next(iter(domains)), ()) if len(domains) == 1 else ()
        self._signer = Signer(keys, timestamp=int(time.time())) if keys else None
        return self._headers

    def body(self, piece: bytes) -> None:
        """See Inspection."""
        if self._signer is not None:
            self._signer.body(piece)

    async def conclude(self, message: Arrived) -> Finding:
        """The fields to prepend, or why the message is refused."""
        refusal = policy.author(self._addresses, self._account.may_send_as)
        if refusal is not None:
            return Finding(refusal=refusal)
        headers = self._headers
        message_id = f"{message.trace}@{self._desk.settings.node.hostname}"
        missing = missing_for_submission(headers, date=datetime.now(UTC), message_id=message_id)
        if self._signer is None:
            return Finding(missing)
        complete = parse_headers(missing + headers.raw) if missing else headers
        loop = asyncio.get_running_loop()
        return Finding(await loop.run_in_executor(threads, self._signer.sign, complete) + missing)
