"""Something that all processes use does not answer: the log says so once, and once when it does again."""

from mxfleet.mxd.counters import Row
from mxfleet.mxd.observe import Log


class Outage:
    """One process's part in it: a gauge in shared memory that is 1 while this process finds it down."""

    def __init__(self, name: str, gauge: str, row: Row, log: Log) -> None:
        """`name` as the log calls it; `gauge` is one of counters.GAUGES."""
        self._name = name
        self._gauge = gauge
        self._row = row
        self._log = log

    def failed(self, reason: str, then: str) -> None:
        """It did not answer; `then` is what becomes of mail meanwhile."""
        if self._row.value(self._gauge):
            return
        self._row.add(self._gauge)
        if self._row.total(self._gauge) == 1:  # the first process to find out
            self._log.error(f"{self._name} does not answer", reason=reason, policy=then)

    def worked(self) -> None:
        """It answered."""
        if not self._row.value(self._gauge):
            return
        self._row.add(self._gauge, -1)
        if self._row.total(self._gauge) == 0:
            self._log.info(f"{self._name} answers again")
