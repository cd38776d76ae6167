"""What is done to submitted mail before it is spooled: missing fields, whose From: it is, DKIM signatures.

RSA signing takes a millisecond and gives up the interpreter lock: it runs in threads, beside the sessions.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import getaddresses

from mxfleet.errors import MessageError
from mxfleet.mail.dkim.sign import Signer
from mxfleet.mail.message import HeaderReader, Headers, parse_headers
from mxfleet.mail.reply import Reply
from mxfleet.mail.trace import missing_for_submission
from mxfleet.mxd import policy
from mxfleet.mxd.accounts import Account
from mxfleet.mxd.desk import Desk

_threads = ThreadPoolExecutor(
    2, thread_name_prefix="signing"
)  # makes its threads on first use, after the fork


class Signing:
    """Reads one submitted message on its way to the spool; gives what is to be put before it."""

    def __init__(self, desk: Desk, account: Account) -> None:
        self._desk = desk
        self._account = account
        self._reader = HeaderReader()
        self._headers: Headers | None = None
        self._signer: Signer | None = None

    async def push(self, piece: bytes) -> None:
        """Take a piece of the message; raises MessageError for what is no header section."""
        if not piece:
            return
        if self._headers is None:
            self._headers = self._reader.push(piece)
            if self._headers is None:
                return
            self._signer = self._make_signer(self._headers)
            piece = self._reader.rest
        if self._signer is not None:
            await asyncio.get_running_loop().run_in_executor(_threads, self._signer.body, piece)

    async def finish(self, message_id: str) -> tuple[bytes, Reply | None]:
        """The fields to prepend, or why the message is refused."""
        headers = self._headers
        if headers is None:
            headers = self._reader.finish()
            self._signer = self._make_signer(headers)
        refusal = policy.author(authors(headers), self._account.may_send_as)
        if refusal is not None:
            return b"", refusal
        missing = missing_for_submission(headers, date=datetime.now(UTC), message_id=message_id)
        if self._signer is None:
            return missing, None
        complete = parse_headers(missing + headers.raw) if missing else headers
        signatures = await asyncio.get_running_loop().run_in_executor(_threads, self._signer.sign, complete)
        return signatures + missing, None

    def _make_signer(self, headers: Headers) -> Signer | None:
        """RFC 6376 §5.1: only a domain that signs with its own key; aligned with From: for DMARC."""
        domains = {address.rpartition("@")[2].lower() for address in authors(headers)}
        keys = self._desk.configuration.keys.get(next(iter(domains)), ()) if len(domains) == 1 else ()
        return Signer(keys, timestamp=int(time.time())) if keys else None


def authors(headers: Headers) -> tuple[str, ...]:
    """The addresses in From:; raises MessageError unless there is exactly one such field (RFC 5322 §3.6)."""
    fields = headers.all("From")
    if len(fields) != 1:
        raise MessageError(f"{len(fields)} From: fields instead of one")
    return tuple(address for _, address in getaddresses([fields[0].text]))
