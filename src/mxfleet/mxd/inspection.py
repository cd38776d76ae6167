"""Reading a message on its way to the spool: its header as soon as it is complete, its body piece by piece.

What is submitted is signed (`signing`), what comes from elsewhere is examined (`examination`).
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

import msgspec

from mxfleet.mail.message import HeaderReader, Headers
from mxfleet.mail.reply import Reply
from mxfleet.mxd.spool.protocol import CHUNK
from mxfleet.mxd.stamp import scanned

INLINE: Final = 65_536  # octets of a body that are read beside the sessions; more goes to a thread
_EMPTY_LINE: Final = b"\r\n"
threads = ThreadPoolExecutor(
    2, thread_name_prefix="inspection"
)  # makes its threads on first use, after the fork


class Finding(msgspec.Struct, frozen=True):
    """What came out: fields to put above our Received field, or why the message is refused; facts for the log.

    `passed` says that the reverse-path is shown not to be forged, so that a report may go there.
    """

    head: bytes = b""
    refusal: Reply | None = None
    facts: Mapping[str, object] = {}
    marked: bool = False
    passed: bool = False


class Arrived(msgspec.Struct, frozen=True):
    """A message that is complete: octets in all, and how to read them again."""

    trace: str
    size: int
    octets: Callable[[], AsyncIterator[bytes]]


Conclusion: TypeAlias = Finding | Coroutine[object, object, Finding]
"""What came out, or what has to be awaited for it."""


class Inspection(ABC):
    """The inspection of one message."""

    __slots__ = ("_reader", "_skip", "scanned")

    def __init__(self) -> None:
        self._reader: HeaderReader | None = HeaderReader(limit=CHUNK - 4)  # so that it is in the first chunk
        self._skip = 0  # octets of the header in front of the body
        self.scanned = 0, ""  # Received fields and Message-ID, once the header was read

    @property
    def begun(self) -> bool:
        """Whether the header was read."""
        return self._reader is None

    def begin(self, octets: bytes, *, whole: bool) -> bytes:
        """Read the header off a message's first octets; returns what is to be stored in their place.

        Raises MessageError where there is no header section, or it is not complete in them (`whole`: they are
        the whole message, which may be all header).
        """
        reader = self._reader
        if reader is None:
            return octets
        headers = reader.push(octets)
        ends = headers is not None
        if headers is None:
            headers = reader.finish()  # raises where the section is cut short
        self._reader = None
        kept = self.header(headers)
        self.scanned = scanned(kept)
        separator = _EMPTY_LINE if ends or not whole else b""
        self._skip = len(kept.raw) + len(separator)
        return octets if kept is headers else kept.raw + separator + reader.rest

    def feed(self, octets: bytes) -> None:
        """Take stored octets in their order, the header's among them."""
        if self._skip:
            octets = octets[self._skip :]
            self._skip = 0
        if octets:
            self.body(octets)

    async def feed_aside(self, octets: bytes) -> None:
        """As `feed`, in a thread where it would keep the sessions waiting."""
        if len(octets) > INLINE:
            await asyncio.get_running_loop().run_in_executor(threads, self.feed, octets)
        else:
            self.feed(octets)

    @abstractmethod
    def header(self, headers: Headers) -> Headers:
        """The header is here; returns what of it stays, or raises MessageError."""

    @abstractmethod
    def body(self, piece: bytes) -> None:
        """A piece of the body, cut anywhere."""

    @abstractmethod
    def conclude(self, message: Arrived) -> Conclusion:
        """The message is complete."""
