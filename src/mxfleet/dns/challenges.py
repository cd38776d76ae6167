"""Proofs for a certificate authority in DNS: published by the zones' providers, seen everywhere, taken away again."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from mxfleet.dns.activation import PATIENCE, PAUSE, places_of
from mxfleet.dns.authority import Ask, Sought, Verdict, ask_server, everywhere, observe
from mxfleet.dns.desired import zone_of
from mxfleet.dns.families import Family, challenge_name
from mxfleet.dns.plan import Change, ZonePlan
from mxfleet.dns.publish import Providers, apply_zone, ours_in
from mxfleet.dns.records import Record, txt
from mxfleet.errors import DnsError
from mxfleet.fleet.model import Fleet
from mxfleet.keys.ledger import Writer


@dataclass(slots=True)
class Challenges:
    """The proofs of one run. The ledger knows of each before its zone is touched, so that none is left behind for good."""

    fleet: Fleet
    writer: Writer
    providers: Providers
    patience: float = PATIENCE
    ask: Ask = ask_server
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    _published: dict[str, list[Record]] = field(default_factory=dict)

    def present(self, proofs: Mapping[str, bytes]) -> dict[str, str]:
        """Publish and wait; by host name what keeps its proof from being seen everywhere."""
        trouble: dict[str, str] = {}
        for host, proof in proofs.items():
            name = challenge_name(host)
            if zone := zone_of(name, self.providers):
                self._published.setdefault(zone, []).append(txt(name, self.fleet.policy.record_ttl, proof))
            else:
                trouble[host] = f"the proof by DNS needs {name}, which lies in no zone of the fleet"
        for zone, records in self._published.items():
            self._write(zone, records)
        return trouble | self._unseen({h: p for h, p in proofs.items() if h not in trouble})

    def remove(self) -> None:
        """Take away what was published; what cannot be now is in the ledger, and goes with the next proof there.

        It must not cost the certificates that were just had.
        """
        for zone in self._published:
            with suppress(DnsError):
                self._write(zone, [])
        self._published.clear()

    def _write(self, zone: str, records: list[Record]) -> None:
        """The zone's proofs are these and no others of ours; also not one that a command left as it died."""
        ours = ours_in(self.writer.state, zone)
        old = {name for name, kind, _ in ours if kind == "TXT" and name.startswith("_acme-challenge.")}
        snapshot = self.providers[zone].read(zone, old | {record.name for record in records})
        there = {record.identity: record for record in snapshot.records}
        wanted = {record.identity for record in records}
        changes = [
            Change(record, None, Family.CHALLENGE, "it has served")
            for identity, record in there.items()
            if identity[0] in old and identity in ours and identity not in wanted
        ]
        changes += [
            Change(None, record, Family.CHALLENGE, "proof for the certificate authority")
            for record in records
            if record.identity not in there
        ]
        if changes:
            apply_zone(ZonePlan(zone, tuple(changes)), ours, snapshot, self.writer, self.providers[zone])

    def _unseen(self, proofs: Mapping[str, bytes]) -> dict[str, str]:
        places, end = places_of(self.fleet, proofs), self.monotonic() + self.patience
        waiting = dict(proofs)
        while True:
            trouble = {}
            for host, proof in waiting.items():
                sought = Sought(places[host].zone, challenge_name(host), proof, among=True)
                sights = observe(sought, places[host].servers, self.ask)
                if not everywhere(sights):
                    silent = [str(sight) for sight in sights if sight.verdict is not Verdict.SHOWN]
                    trouble[host] = f"the proof by DNS ({challenge_name(host)}): {'; '.join(silent)}"
            waiting = {host: proof for host, proof in waiting.items() if host in trouble}
            if not trouble or self.monotonic() >= end:
                return trouble
            self.sleep(PAUSE)
