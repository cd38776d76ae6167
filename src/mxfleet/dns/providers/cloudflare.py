"""Zones at Cloudflare, through its own SDK; the one module that imports it.

One listing a zone and one batch a zone and change: a batch is one transaction. The SDK's own retries are off: it
gives up a limit after a second and repeats a create blindly. Here a request whose fate is unknown is followed by
a look at the zone, and only what is still missing is asked for again, so a create never doubles.
There are no preconditions: a record that somebody else removed meanwhile is noticed, one that he added is not.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cloudflare as sdk
import httpx

from mxfleet.dns.plan import Change
from mxfleet.dns.providers.cloudflare_records import Held, Json, batches, held
from mxfleet.dns.providers.limiter import Limiter
from mxfleet.dns.providers.protocol import Capabilities, Snapshot
from mxfleet.errors import DnsError, PlanStale

RECORDS_A_PAGE, ZONES_A_PAGE = 5_000, 50
BATCH, PAID_BATCH = 200, 3_500
ATTEMPTS = 4
TIMEOUT = 30.0
EXISTS = frozenset({81057, 81058})
GONE = frozenset({81044})
LIMITED = frozenset({971, 10300})
FORBIDDEN = frozenset({1009, 6003, 9103, 9109, 10000})
TYPES = frozenset({"A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "TLSA", "TXT"})


def connect(
    token: str,
    *,
    mark: str = "mxfleet",
    address: str = "",
    paid: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> "CloudflareProvider":
    """A provider for all zones of the token; `mark` begins the comment of each record that it writes."""
    client = sdk.Cloudflare(
        api_token=token, base_url=f"{address}/client/v4" if address else None, max_retries=0, timeout=TIMEOUT
    )
    return CloudflareProvider(client, Limiter(clock, sleep), PAID_BATCH if paid else BATCH, mark)


class Uncertain(Exception):
    """Nobody knows whether the request was carried out."""


@dataclass(slots=True)
class CloudflareProvider:
    """The client, its limiter, how many operations a batch may have, and our mark."""

    client: sdk.Cloudflare = field(repr=False)
    limiter: Limiter
    most: int
    mark: str
    _zones: dict[str, str] = field(default_factory=dict)
    _known: dict[str, list[Held]] = field(default_factory=dict)

    @property
    def capabilities(self) -> Capabilities:
        """A batch is one transaction; there are no preconditions."""
        return Capabilities(atomic=True, compare_and_swap=False)

    def read(self, zone: str, names: Collection[str]) -> Snapshot:  # noqa: ARG002  (a page holds them all)
        """The zone in one request, more only where it has over 5,000 records."""
        there = self._held(zone)
        marked = frozenset(item.record.identity for item in there if item.comment.startswith(f"{self.mark}:"))
        visible = tuple(item.record for item in there if not item.proxied)
        return Snapshot(zone, visible, serial=0, marked=marked)

    def apply(self, zone: str, changes: Sequence[Change], expect: Snapshot) -> None:  # noqa: ARG002
        """One batch for up to 200 (paid: 3,500) operations."""
        if not changes:
            return
        self._refuse_outside(zone, changes)
        there = self._known[zone] if zone in self._known else self._held(zone)
        del self._known[zone]  # good for one apply: afterwards the ids are others
        _refuse_locked(changes, there)
        _refuse_missing(zone, changes, there)
        for group, made in batches(changes, there, self.mark, self.most):
            self._carry_out(zone, group, made.arguments())

    def _carry_out(self, zone: str, changes: Sequence[Change], arguments: dict[str, list[Json]]) -> None:
        for _ in range(ATTEMPTS):
            if not arguments:
                return
            try:
                self._ask(f"changing zone {zone}", self._batch, zone_id=self._zone_id(zone), **arguments)
            except Uncertain:
                there = self._held(zone)
            else:
                return
            [(_, left)] = batches(changes, there, self.mark, len(changes) * 2)
            arguments = left.arguments()
        raise DnsError(
            f"Cloudflare did not say in {ATTEMPTS} attempts whether it changed zone {zone}",
            hint="run it again: it is repeatable",
        )

    def _batch(self, **arguments: Any) -> httpx.Response:  # noqa: ANN401  (as the SDK takes them)
        return self.client.dns.records.with_raw_response.batch(**arguments).http_response

    def _held(self, zone: str) -> list[Held]:
        zone_id = self._zone_id(zone)
        pages = self._pages(
            f"reading of zone {zone}",
            lambda page: (
                self.client.dns.records.with_raw_response.list(
                    zone_id=zone_id, page=page, per_page=RECORDS_A_PAGE
                ).http_response
            ),
        )
        found = [item for raw in pages if raw.get("type") in TYPES and (item := held(raw))]
        self._known[zone] = found
        return found

    def _zone_id(self, zone: str) -> str:
        if not self._zones:
            pages = self._pages(
                "listing of zones",
                lambda page: (
                    self.client.zones.with_raw_response.list(page=page, per_page=ZONES_A_PAGE).http_response
                ),
            )
            self._zones = {str(raw["name"]): str(raw["id"]) for raw in pages}
        if zone not in self._zones:
            raise DnsError(
                f"Cloudflare's token has no access to a zone {zone}",
                hint="give the token Zone:DNS:Edit for it, or mend the zone's name",
            )
        return self._zones[zone]

    def _pages(self, what: str, get: Callable[[int], httpx.Response]) -> Iterator[Json]:
        """All items; as many requests as `result_info` says there are pages (the SDK's own always makes one more)."""
        page = 1
        while True:
            answer = self._repeat(what, lambda page=page: get(page))  # type: ignore[misc]
            yield from answer.get("result") or ()
            if page >= int((answer.get("result_info") or {}).get("total_pages") or 1):
                return
            page += 1

    def _repeat(self, what: str, get: Callable[[], httpx.Response]) -> Json:
        """A request that may be repeated as it stands."""
        for attempt in range(ATTEMPTS):
            try:
                return self._ask(what, get)
            except Uncertain as error:
                reason = error
                self.limiter.pause(2.0**attempt)
        raise DnsError(f"Cloudflare failed {ATTEMPTS} times during the {what}: {reason}")

    def _ask(self, what: str, call: Callable[..., httpx.Response], **arguments: Any) -> Json:  # noqa: ANN401
        """One request; waits where we are told to, as often as we are. Raises Uncertain, PlanStale or DnsError."""
        while True:
            self.limiter.wait()
            try:
                answer: Json = call(**arguments).json()
            except sdk.RateLimitError as error:
                self.limiter.pause(_retry_after(error))
            except sdk.APIStatusError as error:
                raise _meaning(error, what) from error
            except (sdk.APIConnectionError, httpx.HTTPError) as error:
                raise Uncertain(str(error) or type(error).__name__) from error
            else:
                return answer

    def _refuse_outside(self, zone: str, changes: Sequence[Change]) -> None:
        for change in changes:
            name = change.record.name
            if name != zone and not name.endswith(f".{zone}"):
                raise DnsError(f"{name}: NOTZONE, a name lies outside of the zone {zone}")


def _refuse_locked(changes: Sequence[Change], there: Sequence[Held]) -> None:
    locked = {item.record.identity for item in there if item.locked}
    for change in changes:
        if change.before and change.before.identity in locked:
            raise DnsError(
                f"{change.before} is kept by Cloudflare itself (Email Routing)",
                hint="switch that off in Cloudflare's dashboard first",
            )


def _refuse_missing(zone: str, changes: Sequence[Change], there: Sequence[Held]) -> None:
    known = {item.record.identity for item in there}
    for change in changes:
        if change.before and change.before.identity not in known:
            raise PlanStale(
                f"zone {zone} was changed by somebody else since it was read: {change.before} is gone",
                hint="mxfleet dns plan",
            )


def _retry_after(error: sdk.RateLimitError) -> float:
    try:
        return max(1.0, float(error.response.headers.get("retry-after", "")))
    except ValueError:
        return 300.0  # what the documentation says it lasts at most


def _meaning(error: sdk.APIStatusError, what: str) -> Exception:
    """What an answer of 4xx or 5xx is to us."""
    codes, texts = _errors(error)
    if error.status_code >= 500 or codes & EXISTS:  # also "exists": perhaps an earlier, lost request of ours
        return Uncertain(f"{error.status_code} {texts}")
    if codes & GONE:
        return PlanStale(f"a record was removed by somebody else during the {what}", hint="mxfleet dns plan")
    if codes & FORBIDDEN or error.status_code in (401, 403):
        return DnsError(
            f"Cloudflare refused the {what}: the token is not valid or may not do this",
            hint="it needs Zone:DNS:Edit for this zone",
        )
    return DnsError(f"Cloudflare refused the {what}: {texts or error.status_code}")


def _errors(error: sdk.APIStatusError) -> tuple[set[int], str]:
    body: Any = error.body
    items = body.get("errors") if isinstance(body, dict) else None
    found = [item for item in items or () if isinstance(item, dict)]
    codes = {int(item.get("code") or 0) for item in found}
    return codes, "; ".join(f"{item.get('code')} {item.get('message')}" for item in found)
