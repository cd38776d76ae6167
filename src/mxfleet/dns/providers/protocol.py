"""What mxfleet needs of whoever hosts a zone; each provider passes `tests/contract/test_dns_provider.py`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mxfleet.dns.plan import Change
from mxfleet.dns.records import Identity, Record


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do: changes of a zone all or none; refuse when the zone changed meanwhile."""

    atomic: bool
    compare_and_swap: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A zone as it was read. `complete` is False where only the names asked for could be read.

    `marked` are values that bear our mark at the provider (a comment): ours, whatever the ledger knows.
    """

    zone: str
    records: tuple[Record, ...]
    serial: int
    complete: bool = True
    marked: frozenset[Identity] = frozenset()

    def rrset(self, name: str, kind: str) -> tuple[Record, ...]:
        """All values of one name and type."""
        return self._index.get((name, kind), ())

    _index: dict[tuple[str, str], tuple[Record, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the records once."""
        index: dict[tuple[str, str], tuple[Record, ...]] = {}
        for record in self.records:
            index[record.rrset] = (*index.get(record.rrset, ()), record)
        object.__setattr__(self, "_index", index)


class Provider(Protocol):
    """A host of zones."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    def read(self, zone: str, names: Collection[str]) -> Snapshot:
        """The zone, or at least every record at `names`; raises DnsError."""

    def apply(self, zone: str, changes: Sequence[Change], expect: Snapshot) -> None:
        """Make the changes to the zone that was read as `expect`.

        Raises PlanStale where a touched RRset is not what it was then, DnsError for everything else.
        """
