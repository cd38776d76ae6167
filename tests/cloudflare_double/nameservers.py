"""Authoritative servers that show what the account holds, each with its own lag on the given clock; UDP and TCP."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from tests.cloudflare_double.account import Account, Zone, rdata

Contents = dict[tuple[str, str], tuple[int, list[dns.rdata.Rdata]]]
"""(name, type) → TTL and values."""


@dataclass
class Shown:
    """A zone as of one commit."""

    at: float
    serial: int
    contents: Contents


@dataclass
class NameServer:
    """One server: shows each zone as it was `lag` seconds ago; `stale` shows nothing newer than it has now."""

    name: str
    address: str
    clock: Callable[[], float]
    lag: float = 0.0
    stale: bool = False
    history: dict[str, list[Shown]] = field(default_factory=dict)

    def take(self, zone: Zone, extra: Contents) -> None:
        """Hear of a commit."""
        if self.stale:
            return
        contents: Contents = dict(extra)
        for record in zone.records.values():
            key = (record["name"], record["type"])
            ttl, values = contents.get(key, (300 if record["ttl"] == 1 else int(record["ttl"]), []))
            contents[key] = (ttl, [*values, rdata(record)])
        self.history.setdefault(zone.name, []).append(Shown(self.clock(), zone.serial, contents))

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        answer = dns.message.make_response(query)
        zone = self._zone(name)
        if zone is None:
            answer.set_rcode(dns.rcode.REFUSED)
            return answer
        answer.flags |= dns.flags.AA
        shown = self._now(zone)
        found = shown.contents.get((name, dns.rdatatype.to_text(question.rdtype)))
        if question.rdtype == dns.rdatatype.SOA and name == zone:
            text = f"ns1.double.test. hostmaster.double.test. {shown.serial} 3600 600 86400 60"
            found = (300, [dns.rdata.from_text(dns.rdataclass.IN, "SOA", text)])
        if found:
            answer.answer.append(dns.rrset.from_rdata_list(question.name, found[0], found[1]))
        elif not any(owner == name or owner.endswith(f".{name}") for owner, _ in shown.contents):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer

    def _zone(self, name: str) -> str | None:
        labels = name.split(".")
        above = (".".join(labels[depth:]) for depth in range(len(labels)))
        return next((zone for zone in above if zone in self.history), None)

    def _now(self, zone: str) -> Shown:
        old = [shown for shown in self.history[zone] if shown.at <= self.clock() - self.lag]
        return (old or self.history[zone][:1])[-1]


@contextmanager
def serving(account: Account, servers: list[NameServer], port: int) -> Iterator[None]:
    """All servers on their addresses and this port, named in each zone as its name servers."""
    values = [dns.rdata.from_text(dns.rdataclass.IN, "NS", f"{server.name}.") for server in servers]

    def committed(zone: Zone) -> None:
        extra: Contents = {(zone.name, "NS"): (300, list(values))}
        for server in servers:
            if server.name.endswith(f".{zone.name}"):
                extra[(server.name, "A")] = (
                    300,
                    [dns.rdata.from_text(dns.rdataclass.IN, "A", server.address)],
                )
        for server in servers:
            server.take(zone, extra)

    for zone in account.zones.values():
        committed(zone)
    account.committed = committed
    with ExitStack() as stack:
        for server in servers:
            for listener in (
                socketserver.ThreadingUDPServer((server.address, port), _Datagram),
                _StreamServer((server.address, port), _Stream),
            ):
                listener.daemon_threads = True
                setattr(listener, "nameserver", server)  # noqa: B010  (what the handlers ask)
                threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
                stack.callback(listener.server_close)
                stack.callback(listener.shutdown)
        yield


class _StreamServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True


class _Datagram(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        wire, channel = self.request
        answer = self.server.nameserver.answer(dns.message.from_wire(wire))  # type: ignore[attr-defined]
        channel.sendto(answer.to_wire(), self.client_address)


class _Stream(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        length = int.from_bytes(self.rfile.read(2), "big")
        answer = self.server.nameserver.answer(dns.message.from_wire(self.rfile.read(length)))  # type: ignore[attr-defined]
        wire = answer.to_wire()
        self.wfile.write(len(wire).to_bytes(2, "big") + wire)
