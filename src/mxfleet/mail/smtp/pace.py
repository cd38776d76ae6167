"""How long a session, a message, a command may take: the time is told, never asked.

A driver may ask as seldom as it likes, once a second, say: who is only then seen to have done something has his
patience from then on.

RFC 5321 §4.5.3.2 gives a patient server's time-outs for each step; who sends one octet just before each of them
(slow-loris) is bounded by the whole.
"""

from mxfleet.mail.smtp.limits import ServerLimits


class Pace:
    """The deadlines of one session, on any one clock of seconds."""

    __slots__ = ("_limits", "_message", "_session")

    def __init__(self, limits: ServerLimits) -> None:
        """The session begins when the first deadline is asked for."""
        self._limits = limits
        self._session: float | None = None
        self._message: float | None = None  # when the message in progress began

    def deadline(self, expects: str, octets: int | None, now: float) -> float:
        """When the client will have had time enough, if nothing more comes after `now`.

        `octets` are those of the message in progress, None where there is none.
        """
        if self._session is None:
            self._session = now
        if octets is None:
            self._message = None
        elif self._message is None:
            self._message = now
        limits = self._limits
        if expects == "command":
            patience = now + limits.command_seconds
        elif expects == "data":
            patience = now + limits.data_seconds
        elif expects == "handshake":
            return now + limits.handshake_seconds
        else:
            return float("inf")
        if self._message is None or octets is None:
            return min(patience, self._session + limits.session_seconds)
        return min(patience, self._message + self._allowed(octets))

    def another_message(self) -> None:
        """The message in progress is not the one of the last deadline: its time begins with the next one."""
        self._message = None

    def forgive(self, seconds: float) -> None:
        """So long it was not the client that was slow."""
        if self._message is not None:
            self._message += seconds

    def _allowed(self, octets: int) -> float:
        limits = self._limits
        if not limits.slowest:
            return limits.message_seconds
        return min(limits.message_seconds, limits.slow_seconds + octets / limits.slowest)
