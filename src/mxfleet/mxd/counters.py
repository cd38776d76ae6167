"""Numbers that all processes of the service count together, in memory shared since before the fork.

Each process writes only its own row, so that nothing is locked; who shows them adds the rows up. A restarted
process goes on in the row of the one that died: counters never fall.
"""

import mmap
from collections.abc import Callable, Mapping
from typing import Final, Protocol

COUNTERS: Final[Mapping[str, str]] = {
    "connections": "Connections that were accepted, all services",
    "refused_connections": "Connections refused because of a limit",
    "messages_accepted": "Messages taken over with a 250 after the commit",
    "octets_accepted": "Octets of those messages",
    "messages_refused": "Messages refused after their data",
    "messages_deferred": "Messages refused for now after their data",
    "messages_marked": "Messages accepted with a mark of what was found",
    "senders_refused": "MAIL commands refused",
    "recipients_accepted": "RCPT commands accepted",
    "recipients_refused": "RCPT commands refused",
    "protocol_errors": "Commands refused by the protocol engine",
    "tls_sessions": "TLS handshakes done",
    "tls_failures": "TLS handshakes failed",
    "logins": "Successful authentications",
    "logins_failed": "Failed authentications",
    "logins_throttled": "Authentications refused unseen because of earlier failures",
    "spool_failures": "Messages refused because the spool could not commit",
    "attempts": "Delivery attempts",
    "delivered": "Recipients delivered",
    "deferred": "Recipients deferred, each time",
    "failed": "Recipients failed for good",
    "doubtful": "Recipients whose final dot was never answered, the node went down included: may get it twice",
    "bounces": "Delivery status notifications written",
    "process_restarts": "Processes of the service that died and were started again",
}
GAUGES: Final[Mapping[str, str]] = {
    "sessions": "Sessions open now",
    "deliveries_running": "Attempts running now",
    "rspamd_down": "Processes that get no answer from rspamd",
}
_INDEX: Final = {name: index for index, name in enumerate([*COUNTERS, *GAUGES])}
_WIDTH: Final = 8 * len(_INDEX)


class Shared:
    """The memory itself; to be made before forking, with one row a process."""

    def __init__(self, rows: int) -> None:
        self._memory = mmap.mmap(-1, rows * _WIDTH)
        self._cells = memoryview(self._memory).cast("q")
        self._rows = rows

    def row(self, number: int) -> "Row":
        """The counters of one process; its gauges begin at nought."""
        row = Row(self._cells[number * len(_INDEX) : (number + 1) * len(_INDEX)], self.total)
        for name in GAUGES:
            row.add(name, -row.value(name))
        return row

    def total(self, name: str) -> int:
        """One number over all processes."""
        return sum(self._cells[r * len(_INDEX) + _INDEX[name]] for r in range(self._rows))


class Row:
    """What one process counts."""

    def __init__(self, cells: memoryview, total: Callable[[str], int]) -> None:
        self._cells = cells
        self.total = total  # a number over all processes

    def add(self, name: str, amount: int = 1) -> None:
        """Count; a name that is not in the tables above is a mistake and raises KeyError."""
        self._cells[_INDEX[name]] += amount

    def value(self, name: str) -> int:
        """What this process has counted."""
        value: int = self._cells[_INDEX[name]]
        return value


class GaugeSource(Protocol):
    """Further gauges at the time of asking: name to (help, value)."""

    def __call__(self) -> Mapping[str, tuple[str, float]]:
        """The gauges now."""
