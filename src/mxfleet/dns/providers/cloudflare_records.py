"""Between our records and Cloudflare's API: what its JSON means, and what it must be sent; pure.

Names come and go without their final dot; TXT content is kept as it was sent, quoted or not, and is always sent
quoted, in chunks of 255, escaped.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass

from mxfleet.dns.plan import Change
from mxfleet.dns.records import Identity, Record, from_rdata, quoted

Json = dict[str, Any]

AUTOMATIC_TTL = 300
"""What Cloudflare serves for a TTL of 1, "automatic"."""
COMMENT = 100
"""The longest comment on every plan."""
TARGETS = frozenset({"CNAME", "PTR", "NS"})


@dataclass(frozen=True, slots=True)
class Held:
    """A record as Cloudflare holds it.

    `proxied` answers with Cloudflare's own addresses, where no mail gets through; `locked` is kept by Cloudflare
    itself (Email Routing) and cannot be changed.
    """

    id: str
    record: Record
    proxied: bool
    locked: bool
    comment: str


def held(item: Mapping[str, Any]) -> Held | None:
    """From one item of a listing; None for a type that means nothing to mail or a content that is no record."""
    meta = item.get("meta") or {}
    record = _record(item)
    if record is None:
        return None
    locked = bool(meta.get("read_only") or meta.get("email_routing"))
    return Held(str(item["id"]), record, bool(item.get("proxied")), locked, item.get("comment") or "")


def _record(item: Mapping[str, Any]) -> Record | None:
    kind, content, ttl = str(item["type"]), str(item.get("content") or ""), int(item["ttl"])
    ttl = AUTOMATIC_TTL if ttl == 1 else ttl
    name = dns.name.from_text(str(item["name"]))
    if kind == "TXT" and not (content.startswith('"') and content.endswith('"') and len(content) > 1):
        return Record(name.to_text(omit_final_dot=True).lower(), "TXT", quoted(content.encode()), ttl)
    if kind == "MX":
        content = f"{int(item.get('priority') or 0)} {content}"
    if kind in TARGETS or kind == "MX":
        content = f"{content.rstrip('.')}."
    try:
        rdata = dns.rdata.from_text(dns.rdataclass.IN, kind, content, relativize=False)
    except (dns.exception.DNSException, ValueError):
        return None
    return from_rdata(name, ttl, rdata)


def body(record: Record, comment: str) -> Json:
    """What creates, or wholly describes, the record."""
    value: Json = {"name": record.name, "type": record.type, "ttl": record.ttl, "comment": comment[:COMMENT]}
    match record.type:
        case "MX":
            preference, target = record.value.split(" ")
            return value | {"priority": int(preference), "content": target.rstrip(".") or "."}
        case "TLSA":
            usage, selector, matching, certificate = record.value.split(" ")
            data = {"usage": int(usage), "selector": int(selector), "matching_type": int(matching)}
            return value | {"data": data | {"certificate": certificate}}
        case "CAA":
            flags, tag, text = record.value.split(" ", 2)
            return value | {"data": {"flags": int(flags), "tag": tag, "value": text.strip('"')}}
        case "CNAME" | "PTR" | "NS":
            return value | {"content": record.value.rstrip(".")}
        case "A" | "AAAA":
            return value | {"content": record.value, "proxied": False}  # RFC 5321 needs the host itself
    return value | {"content": record.value}


@dataclass(frozen=True, slots=True)
class Operations:
    """One batch, in the order in which Cloudflare carries it out: deletes, patches, posts."""

    deletes: tuple[Json, ...] = ()
    patches: tuple[Json, ...] = ()
    posts: tuple[Json, ...] = ()

    def __len__(self) -> int:
        return len(self.deletes) + len(self.patches) + len(self.posts)

    def __add__(self, other: "Operations") -> "Operations":
        return Operations(
            self.deletes + other.deletes, self.patches + other.patches, self.posts + other.posts
        )

    def arguments(self) -> dict[str, list[Json]]:
        """Only the lists that hold something."""
        lists = {"deletes": self.deletes, "patches": self.patches, "posts": self.posts}
        return {name: list(items) for name, items in lists.items() if items}


def operations(changes: Iterable[Change], there: Sequence[Held], mark: str) -> Operations:
    """What is still to do for these changes, given what Cloudflare holds; empty where all of it is done."""
    by_identity: dict[Identity, Held] = {item.record.identity: item for item in there}
    made = Operations()
    for change in changes:
        comment = f"{mark}: {change.why}"
        before = by_identity.get(change.before.identity) if change.before else None
        after = by_identity.get(change.after.identity) if change.after else None
        if change.after is None:
            made += Operations(deletes=({"id": before.id},)) if before else Operations()
        elif after and after.record.ttl == change.after.ttl and not after.proxied:
            if before and before.id != after.id:  # both are there: a lost answer to an earlier, other shape
                made += Operations(deletes=({"id": before.id},))
        elif target := after or before:
            made += Operations(patches=({"id": target.id, **body(change.after, comment)},))
        else:
            made += Operations(posts=(body(change.after, comment),))
    return made


def batches(
    changes: Sequence[Change], there: Sequence[Held], mark: str, most: int
) -> list[tuple[list[Change], Operations]]:
    """Changes in batches of at most `most` operations; all that concerns one name is in one batch."""
    by_name: dict[str, list[Change]] = {}
    for change in changes:
        by_name.setdefault(change.record.name, []).append(change)
    found: list[tuple[list[Change], Operations]] = []
    for group in by_name.values():
        made = operations(group, there, mark)
        if found and len(found[-1][1]) + len(made) <= most:
            found[-1] = (found[-1][0] + group, found[-1][1] + made)
        else:
            found.append((group, made))
    return found
