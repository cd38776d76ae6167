"""How much of messages on their way one process holds: beyond a bound they are refused, before the kernel kills.

What a session holds beside its message is bounded by the engine and by asyncio's reads.
"""

from typing import Final

from mxfleet.mail.reply import Reply

FULL: Final = Reply(452, "4.3.1", "No memory for the message now, try again later")  # RFC 3463 §3.4
NEARLY: Final = 0.8  # of the bound: what has begun may go on, no further message begins


class Memory:
    """Octets of messages that were received and are neither spooled nor refused."""

    def __init__(self, most: int) -> None:
        """`most` in octets, 0 for no bound."""
        self.held = 0
        self._most = most or (1 << 62)
        self._nearly = int(self._most * NEARLY)

    @property
    def nearly_full(self) -> bool:
        """Whether no further message should begin."""
        return self.held >= self._nearly

    @property
    def full(self) -> bool:
        """Whether messages under way must go."""
        return self.held >= self._most
