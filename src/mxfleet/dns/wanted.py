"""A record that shall be, with its meaning and its reason."""

from dataclasses import dataclass

from mxfleet.dns.families import Family
from mxfleet.dns.records import Record


@dataclass(frozen=True, slots=True)
class Wanted:
    """A record that shall be, the family that it belongs to, and why, in a few words."""

    record: Record
    family: Family
    why: str
