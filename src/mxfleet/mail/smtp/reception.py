"""One message on its way in: its octets, its size against the limit, and whether it failed already."""

from mxfleet.errors import SmtpError
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp import replies
from mxfleet.mail.smtp.data import DataReader
from mxfleet.mail.smtp.replies import Breach


class Reception:
    """Behind the 354, up to the final dot."""

    __slots__ = ("_limit", "_reader", "ended", "failure")

    def __init__(self, limit: int) -> None:
        """`limit` is the largest size in octets."""
        self._reader = DataReader()
        self._limit = limit
        self.ended = False
        self.failure: Reply | None = None  # the reply that its end will get, where not the driver's

    @property
    def size(self) -> int:
        """Octets of the message so far, dots unstuffed."""
        return self._reader.size

    def push(self, octets: bytes) -> tuple[bytes, bytes | None]:
        """Take octets; return what the driver shall have, and what follows the message's end.

        RFC 1870 §6.3: a message that grows too big is read to its end, then refused; but not for ever.
        """
        piece, rest = self._reader.push(octets)
        self.ended = rest is not None
        if self._reader.size > self._limit:
            if self._reader.size > 2 * self._limit:
                raise Breach(replies.TOO_BIG)
            self.failure = self.failure or replies.TOO_BIG
        return (piece if self.failure is None else b""), rest

    def fail(self, reply: Reply) -> None:
        """No more of it is wanted; its end gets this reply."""
        if reply.positive:
            raise SmtpError(f"a message cannot fail with {reply}")
        self.failure = self.failure or reply
