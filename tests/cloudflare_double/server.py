"""The API over HTTP on loopback: routes, pages, the limit of requests on a given clock, and faults on demand."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.cloudflare_double.account import Account, Json, Refusal, Zone

LIMIT, WINDOW = 1200, 300.0


@dataclass
class Double:
    """What a test holds: the account, the clock, the counts, and which fault comes next.

    Faults: `lost answer` (carried out, then the connection closed), `500 before` (nothing done), `429` (once, with
    Retry-After), `slow page` (carried out, and answered `slowness` seconds later), each consumed by the next request that writes, or reads where `reads` says so.
    """

    account: Account
    clock: Callable[[], float]
    limited: bool = True
    faults: deque[str] = field(default_factory=deque)
    read_faults: deque[str] = field(default_factory=deque)
    requests: list[str] = field(default_factory=list)
    address: str = ""
    slowness: float = 0.5
    _sent: deque[float] = field(default_factory=deque)
    _blocked_until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def counted(self) -> tuple[int, int]:
        """Requests left, and seconds until the window is free; raises Refusal where there are none."""
        now = self.clock()
        while self._sent and self._sent[0] <= now - WINDOW:
            self._sent.popleft()
        if self.limited and (now < self._blocked_until or len(self._sent) >= LIMIT):
            if now >= self._blocked_until:
                self._blocked_until = now + WINDOW
            raise Refusal(429, 971, "Please wait and consider throttling your request speed")
        self._sent.append(now)
        return LIMIT - len(self._sent), int(WINDOW - (now - self._sent[0]))

    @property
    def retry_after(self) -> int:
        return max(1, int(self._blocked_until - self.clock() + 0.999))


class Handler(BaseHTTPRequestHandler):
    """One request; the double hangs on the server."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    @property
    def double(self) -> Double:
        return self.server.double  # type: ignore[attr-defined,no-any-return]

    def _run(self, method: str) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        parts = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        with self.double.lock:
            late = self._answer(method, parts.path, query, body)
        if late is not None:
            time.sleep(self.double.slowness)
            with suppress(OSError):  # nobody waits any more
                self._send(200, *late)

    def _answer(
        self, method: str, path: str, query: dict[str, str], body: Json
    ) -> tuple[Json, dict[str, str]] | None:
        """Answers, unless the answer is to come late: then it is returned."""
        double = self.double
        double.requests.append(f"{method} {path}")
        faults = double.read_faults if method == "GET" else double.faults
        headers = {}
        try:
            left, until = double.counted()
            headers = {
                "Ratelimit": f'"default";r={left};t={until}',
                "Ratelimit-Policy": f'"default";q={LIMIT};w={WINDOW:.0f}',
            }
            fault = faults.popleft() if faults else ""
            if fault == "500 before":
                raise Refusal(500, 1000, "Internal error")
            if fault == "429":
                double._blocked_until = double.clock() + 30
                raise Refusal(429, 10300, "rate limited")
            if self.headers.get("authorization") != f"Bearer {double.account.token}":
                raise Refusal(403, 9109, "Invalid access token")
            answer = route(double.account, method, path, query, body)
            if fault == "lost answer":
                self.close_connection = True
                self.connection.close()
                return None
            if fault == "slow page":
                return answer, headers
            self._send(200, answer, headers)
        except Refusal as refusal:
            if refusal.status == 429:
                headers["Retry-After"] = str(double.retry_after)
            error = {
                "success": False,
                "errors": [{"code": refusal.code, "message": refusal.message}],
                "result": None,
            }
            self._send(refusal.status, error, headers)
        return None

    def _send(self, status: int, answer: Json, headers: dict[str, str]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            **headers,
            "Content-Length": str(len(content)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self._run("GET")

    def do_POST(self) -> None:
        self._run("POST")

    def do_PUT(self) -> None:
        self._run("PUT")

    def do_PATCH(self) -> None:
        self._run("PATCH")

    def do_DELETE(self) -> None:
        self._run("DELETE")

    def log_message(self, *arguments: Any) -> None:
        """Nothing: the double counts."""


def route(account: Account, method: str, path: str, query: dict[str, str], body: Json) -> Json:
    match [method, *path.strip("/").split("/")[2:]]:
        case ["GET", "zones"]:
            zones = [zone for zone in account.visible() if query.get("name", zone.name) == zone.name]
            return page([described(zone) for zone in zones], query, default=20, most=50)
        case ["GET", "zones", zone_id, "dns_records"]:
            return page(list(account.zone(zone_id).records.values()), query, default=100, most=5_000_000)
        case ["POST", "zones", zone_id, "dns_records"]:
            return found(account.create(account.zone(zone_id), body))
        case ["POST", "zones", zone_id, "dns_records", "batch"]:
            return found(account.batch(account.zone(zone_id), body))
        case ["PUT" | "PATCH", "zones", zone_id, "dns_records", record_id]:
            return found(account.change(account.zone(zone_id), record_id, body, whole=method == "PUT"))
        case ["DELETE", "zones", zone_id, "dns_records", record_id]:
            return found(account.delete(account.zone(zone_id), record_id))
    raise Refusal(404, 7003, f"Could not route to {path}")


def described(zone: Zone) -> Json:
    return {
        "id": zone.id, "name": zone.name, "status": "active", "name_servers": ["ns1.double.test"],
        "plan": {"legacy_id": "free"}, "account": {"id": "a", "name": "double"},
    }  # fmt: skip


def found(result: Any) -> Json:
    return {"success": True, "errors": [], "messages": [], "result": result}


def page(items: list[Json], query: dict[str, str], default: int, most: int) -> Json:
    number, size = int(query.get("page", 1)), min(int(query.get("per_page", default)), most)
    chosen = items[(number - 1) * size : number * size]
    pages = max(1, -(-len(items) // size))
    info = {
        "page": number,
        "per_page": size,
        "count": len(chosen),
        "total_count": len(items),
        "total_pages": pages,
    }
    return found(chosen) | {"result_info": info}


@contextmanager
def running(double: Double, port: int = 0) -> Iterator[Double]:
    """Serve until the end of the block; `double.address` is where."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.double = double  # type: ignore[attr-defined]
    double.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
