"""The provider suite on a zone that is not the suite's own: each test below a label of its own, which goes with it.

So it can run on the real Cloudflare, where MXFLEET_CLOUDFLARE_TOKEN and MXFLEET_CLOUDFLARE_ZONE are given. What is in the
zone beside the label is neither shown to the tests nor changed. Without the two, the suite does this to the double.
"""

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import dns.rdatatype
import dns.zone

from mxfleet.dns.families import Family
from mxfleet.dns.plan import Change
from mxfleet.dns.providers.cloudflare import CloudflareProvider
from mxfleet.dns.providers.protocol import Capabilities, Snapshot
from mxfleet.dns.records import Record

TOKEN, ZONE = "MXFLEET_CLOUDFLARE_TOKEN", "MXFLEET_CLOUDFLARE_ZONE"


def given(environment: Mapping[str, str]) -> bool:
    """Whether there is a real zone to be tested on; half of what it needs is an error, not a quiet no."""
    there = [name for name in (TOKEN, ZONE) if environment.get(name)]
    if len(there) == 1:
        raise ValueError(f"{there[0]} is set alone: the contract run on Cloudflare needs {TOKEN} and {ZONE}")
    return bool(there)


@dataclass(frozen=True)
class Below:
    """A provider of the zone `shown`, which is all that `inner` has at and below `name` in `zone`."""

    inner: CloudflareProvider
    zone: str
    name: str
    shown: str

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    def read(self, zone: str, names: Collection[str]) -> Snapshot:
        assert zone == self.shown
        whole = self.inner.read(self.zone, [self.down(name) for name in names])
        records = tuple(
            replace(record, name=self.up(record.name)) for record in whole.records if self.has(record.name)
        )
        marked = frozenset(
            (self.up(name), kind, value) for name, kind, value in whole.marked if self.has(name)
        )
        return replace(whole, zone=zone, records=records, marked=marked)

    def apply(self, zone: str, changes: Sequence[Change], expect: Snapshot) -> None:
        assert zone == self.shown
        moved = [
            replace(change, before=self.moved(change.before), after=self.moved(change.after))
            for change in changes
        ]
        self.inner.apply(self.zone, moved, expect)

    def moved(self, record: Record | None) -> Record | None:
        return record and replace(record, name=self.down(record.name))

    def has(self, name: str) -> bool:
        return name == self.name or name.endswith(f".{self.name}")

    def down(self, name: str) -> str:
        """From a name that the tests use; one outside of their zone stays as it is."""
        if name == self.shown or name.endswith(f".{self.shown}"):
            return name.removesuffix(self.shown) + self.name
        return name

    def up(self, name: str) -> str:
        return name.removesuffix(self.name) + self.shown


@contextmanager
def below(inner: CloudflareProvider, zone: str, shown: str, text: str) -> Iterator[Below]:
    """The zone file `text` of `shown`, below a fresh label of `zone`; afterwards nothing is left of it."""
    provider = Below(inner, zone, f"mxfleet-test-{secrets.token_hex(4)}.{zone}", shown)
    try:
        posts = [item for item in bodies(shown, text) if item["type"] not in ("SOA", "NS")]
        posts = [item | {"name": provider.down(item["name"])} for item in posts]
        zone_id = inner._zone_id(zone)
        inner.client.dns.records.batch(zone_id=zone_id, posts=posts)  # type: ignore[arg-type]
        yield provider
    finally:
        there = provider.read(shown, ())
        removals = [Change(record, None, Family.DKIM, "test") for record in there.records]
        provider.apply(shown, removals, there)
        inner.client.close()


def bodies(zone: str, text: str) -> Iterator[dict[str, Any]]:
    """The records of a zone file as Cloudflare's API has them."""
    for name, ttl, rdata in dns.zone.from_text(text, zone, relativize=False).iterate_rdatas():
        kind, content = dns.rdatatype.to_text(rdata.rdtype), rdata.to_text()
        more: dict[str, Any] = {}
        if kind == "MX":
            priority, content = content.split(" ")
            more = {"priority": int(priority)}
        if kind in ("MX", "NS"):
            content = content.rstrip(".")
        yield {"name": name.to_text(omit_final_dot=True), "type": kind, "content": content, "ttl": ttl} | more
