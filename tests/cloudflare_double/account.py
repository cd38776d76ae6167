"""The state behind the API: zones, records, and what may be done to them; no network here."""

import copy
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import dns.exception
import dns.rdata
import dns.rdataclass
from cloudflare.types.dns import batch_patch_param, record_batch_params, record_create_params
from pydantic import TypeAdapter, ValidationError

Json = dict[str, Any]
EXCLUSIVE = frozenset({"A", "AAAA"})


class Refusal(Exception):
    """An answer that is an error: HTTP status, code, message."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass
class Zone:
    """A zone and its records by id; `serial` rises with each commit, `hidden` ones the token may not see."""

    id: str
    name: str
    records: dict[str, Json] = field(default_factory=dict)
    serial: int = 1
    hidden: bool = False


@dataclass
class Account:
    """All zones of the one token; `committed` hears of each zone that changed."""

    token: str = "double-token"
    paid: bool = False
    zones: dict[str, Zone] = field(default_factory=dict)
    committed: Callable[[Zone], None] = lambda zone: None
    _ids: Any = field(default_factory=lambda: itertools.count(1))

    def add(self, name: str) -> Zone:
        zone = Zone(f"{next(self._ids):032x}", name)
        self.zones[zone.id] = zone
        return zone

    def visible(self) -> list[Zone]:
        return [zone for zone in self.zones.values() if not zone.hidden]

    def zone(self, zone_id: str) -> Zone:
        zone = self.zones.get(zone_id)
        if zone is None or zone.hidden:
            raise Refusal(403, 10000, "Authentication error")
        return zone

    def put(self, of: str, /, **record: Any) -> Json:
        """Set up a record directly, as if it had always been there."""
        [zone] = [zone for zone in self.zones.values() if zone.name == of]
        made = {
            "id": f"{next(self._ids):032x}",
            "ttl": 300,
            "proxied": False,
            "comment": None,
            "meta": {},
        } | record
        zone.records[str(made["id"])] = made
        self.committed(zone)
        return made

    def batch(self, zone: Zone, body: Json) -> Json:
        validate(batch_type(), {"zone_id": zone.id, **body})
        count = sum(len(body.get(kind) or ()) for kind in ("deletes", "patches", "puts", "posts"))
        if count > (3500 if self.paid else 200):
            raise Refusal(400, 1004, f"{count} operations are more than a batch may have")
        trial = copy.deepcopy(zone.records)
        done: Json = {
            "deletes": [self._delete(trial, item["id"]) for item in body.get("deletes") or ()],
            "patches": [
                self._change(zone, trial, item["id"], item, whole=False) for item in body.get("patches") or ()
            ],
            "puts": [
                self._change(zone, trial, item["id"], item, whole=True) for item in body.get("puts") or ()
            ],
            "posts": [self._create(zone, trial, item) for item in body.get("posts") or ()],
        }
        self._commit(zone, trial)
        return done

    def create(self, zone: Zone, body: Json) -> Json:
        validate(record_type(), {"zone_id": zone.id, **body})
        trial = dict(zone.records)
        made = self._create(zone, trial, body)
        self._commit(zone, trial)
        return made

    def change(self, zone: Zone, record_id: str, body: Json, *, whole: bool) -> Json:
        if whole:
            validate(record_type(), {"zone_id": zone.id, **body})
        else:
            validate(patch_type(), {"id": record_id, **body})
        trial = copy.deepcopy(zone.records)
        made = self._change(zone, trial, record_id, body, whole=whole)
        self._commit(zone, trial)
        return made

    def delete(self, zone: Zone, record_id: str) -> Json:
        trial = dict(zone.records)
        self._delete(trial, record_id)
        self._commit(zone, trial)
        return {"id": record_id}

    def _commit(self, zone: Zone, records: dict[str, Json]) -> None:
        zone.records = records
        zone.serial += 1
        self.committed(zone)

    def _create(self, zone: Zone, records: dict[str, Json], body: Json) -> Json:
        made = {"id": f"{next(self._ids):032x}", "proxied": False, "comment": None, "meta": {}} | normal(
            zone, body
        )
        refuse_conflicts(made, records.values())
        records[str(made["id"])] = made
        return made

    def _change(
        self, zone: Zone, records: dict[str, Json], record_id: str, body: Json, *, whole: bool
    ) -> Json:
        old = known(records, record_id)
        base = {"id": record_id, "proxied": False, "comment": None, "meta": old["meta"]} if whole else old
        made = base | normal(zone, {**({} if whole else old), **body}) | {"id": record_id}
        refuse_conflicts(made, (r for r in records.values() if r["id"] != record_id))
        records[record_id] = made
        return made

    def _delete(self, records: dict[str, Json], record_id: str) -> Json:
        known(records, record_id)
        return records.pop(record_id)


def known(records: dict[str, Json], record_id: str) -> Json:
    if record_id not in records:
        raise Refusal(404, 81044, "Record does not exist.")
    if records[record_id]["meta"].get("read_only"):
        raise Refusal(400, 1043, "This record is read-only.")
    return records[record_id]


def normal(zone: Zone, body: Json) -> Json:
    """The record as it is kept: checked, names in lower case and without final dot."""
    name = body["name"].rstrip(".").lower()
    if name != zone.name and not name.endswith(f".{zone.name}"):
        raise Refusal(400, 9000, "DNS name is invalid.")
    if body["ttl"] != 1 and not 60 <= body["ttl"] <= 86400:
        raise Refusal(400, 9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.")
    if len(body.get("comment") or "") > 100:
        raise Refusal(400, 9313, "The comment is too long.")
    made = {key: value for key, value in body.items() if key not in ("id", "zone_id")} | {"name": name}
    kind, data = body["type"], body.get("data")
    if kind == "TLSA" and data:
        made["content"] = (
            f"{data['usage']:.0f} {data['selector']:.0f} {data['matching_type']:.0f} {data['certificate']}"
        )
    elif kind == "CAA" and data:
        made["content"] = f'{data["flags"]:.0f} {data["tag"]} "{data["value"]}"'
    elif kind in ("CNAME", "MX", "NS", "PTR"):
        made["content"] = (body["content"].lower().rstrip(".")) or "."
    refuse_nonsense(made)
    return made


def refuse_nonsense(record: Json) -> None:
    if len(record["content"]) > 4096:
        raise Refusal(400, 9015, "DNS record has an invalid content length.")
    try:
        rdata(record)
    except (dns.exception.DNSException, ValueError, KeyError) as error:
        raise Refusal(400, 9007, f"Content for {record['type']} record is invalid: {error}") from error


def rdata(record: Json) -> dns.rdata.Rdata:
    """As a name server shows it."""
    kind, content = record["type"], record["content"]
    if kind == "TXT" and not content.startswith('"'):
        content = f'"{content}"'
    if kind == "MX":
        content = f"{record['priority']:.0f} {content}"
    if kind in ("CNAME", "MX", "NS", "PTR"):
        content = f"{content.rstrip('.')}."
    return dns.rdata.from_text(dns.rdataclass.IN, kind, content, relativize=False)


def refuse_conflicts(made: Json, others: Iterable[Json]) -> None:
    for other in others:
        if other["name"] != made["name"]:
            continue
        kinds = {other["type"], made["type"]}
        if "CNAME" in kinds and kinds != {"CNAME"} and kinds & EXCLUSIVE:
            raise Refusal(400, 81053, "An A, AAAA, or CNAME record with that host already exists.")
        same = ("type", "content", "priority")
        if all(other.get(key) == made.get(key) for key in same):
            raise Refusal(400, 81058, "An identical record already exists.")


def validate(kind: TypeAdapter[Any], body: Json) -> None:
    try:
        kind.validate_python(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refusal(400, 9207, f"DNS Validation Error: {where}: {first['msg']}") from error


@cache
def record_type() -> TypeAdapter[Any]:
    return TypeAdapter(record_create_params.RecordCreateParams)


@cache
def batch_type() -> TypeAdapter[Any]:
    return TypeAdapter(record_batch_params.RecordBatchParams)


@cache
def patch_type() -> TypeAdapter[Any]:
    return TypeAdapter(batch_patch_param.BatchPatchParam)
