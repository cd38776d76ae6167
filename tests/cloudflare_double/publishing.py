"""What the account holds, shown by a real name server: each commit goes there some seconds later, as an RFC 2136 update.

Where it begins, the account takes over what the server has, as Cloudflare does when a zone moves in.
"""

import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import dns.exception
import dns.query
import dns.rcode
import dns.rdata
import dns.rdataset
import dns.rdatatype
import dns.tsig
import dns.update
import dns.xfr
import dns.zone

from tests.cloudflare_double.account import Account, Zone, rdata

KINDS = frozenset({"A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "TLSA", "TXT"})
TIMEOUT = 5.0
LEAST_TTL = 60
Contents = dict[tuple[str, str], dns.rdataset.Rdataset]
"""(name, type) → RRset."""


@dataclass(frozen=True)
class Primary:
    """The server that shows it, and the key that may change it."""

    address: str
    port: int
    key: dns.tsig.Key

    def load(self, account: Account, zone: str) -> None:
        """Put all that the server has in this zone into the account, but for what is the server's own."""
        whole = dns.zone.Zone(zone, relativize=False)
        query = dns.xfr.make_query(whole, keyring=self.key)[0]
        dns.query.inbound_xfr(self.address, whole, query, port=self.port, timeout=TIMEOUT)
        for name, ttl, value in whole.iterate_rdatas():
            kind, content = dns.rdatatype.to_text(value.rdtype), value.to_text()
            owner, more = name.to_text(omit_final_dot=True).lower(), {}
            if kind not in KINDS or (kind, owner) == ("NS", zone):
                continue
            if kind == "MX":
                priority, content = content.split(" ")
                more = {"priority": int(priority)}
            if kind in ("CNAME", "MX", "NS", "PTR"):
                content = content.rstrip(".") or "."
            account.put(zone, name=owner, type=kind, content=content, ttl=max(ttl, LEAST_TTL), **more)

    def change(self, zone: str, before: Contents, after: Contents) -> None:
        """Show `after` instead of `before`, in one update; raises OSError or DNSException."""
        update = dns.update.UpdateMessage(zone, keyring=self.key)
        for name, kind in before.keys() - after.keys():
            update.delete(f"{name}.", kind)
        for (name, kind), values in after.items():
            if before.get((name, kind)) != values or before[(name, kind)].ttl != values.ttl:
                update.replace(f"{name}.", values)
        if update.update:
            answer = dns.query.tcp(update, self.address, TIMEOUT, self.port)
            if answer.rcode() != dns.rcode.NOERROR:
                raise OSError(f"{zone}: {dns.rcode.to_text(answer.rcode())}")


def contents(zone: Zone) -> Contents:
    found: Contents = {}
    for record in zone.records.values():
        ttl = 300 if record["ttl"] == 1 else int(record["ttl"])
        value = rdata(record)
        key = (record["name"], record["type"])
        found.setdefault(key, dns.rdataset.Rdataset(value.rdclass, value.rdtype, ttl=ttl)).add(value)
    return found


@dataclass
class Publisher:
    """Carries each commit to the primary when `lag` seconds have passed; a primary that is away gets it later."""

    primary: Primary
    lag: float
    say: Callable[[str], object] = sys.stderr.write
    shown: dict[str, Contents] = field(default_factory=dict)
    _due: "queue.SimpleQueue[tuple[float, str, Contents]]" = field(default_factory=queue.SimpleQueue)

    def begin(self, account: Account) -> None:
        """Take over what the primary has, and from then on show it what is committed."""
        for zone in account.zones.values():
            self.primary.load(account, zone.name)
            self.shown[zone.name] = contents(zone)
        account.committed = self._hear
        threading.Thread(target=self._run, daemon=True).start()

    def _hear(self, zone: Zone) -> None:
        self._due.put((time.monotonic() + self.lag, zone.name, contents(zone)))

    def _run(self) -> None:
        while True:
            due, zone, after = self._due.get()
            time.sleep(max(0.0, due - time.monotonic()))
            while not self._show(zone, after):
                time.sleep(1)

    def _show(self, zone: str, after: Contents) -> bool:
        try:
            self.primary.change(zone, self.shown[zone], after)
        except (OSError, dns.exception.DNSException) as error:
            self.say(f"{zone} is not shown yet: {error}\n")
            return False
        self.shown[zone] = after
        return True
