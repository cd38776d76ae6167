"""Cut a guest's power and switch it on again, and measure what that means for who connects from outside."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from mxfleet.errors import LabError
from mxfleet.lab import cgroup, dead_queue, guests, network, services, state
from mxfleet.lab.outage import Outage, Watch
from mxfleet.lab.plan import Guest, guests_of

SMTP = 25
PATIENCE = 10.0
"""Seconds after which a service address that does not answer again is reported as lost."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a power failure did: `outages` is empty where the guest did not hold the service address.

    `waiting` counts recipients in the dead node's queue; None where it has no queue.
    """

    guest: str
    outages: tuple[Outage, ...]
    holder: str
    waiting: int | None

    def as_json(self) -> dict[str, Any]:
        """The outcome as plain values; seconds are null where the address did not come back."""
        return asdict(self)

    def told(self) -> str:
        """The outcome in a few lines."""
        lines = [f"{self.guest} is off"]
        lines += [outage.told() for outage in self.outages]
        if self.outages:
            lines.append(f"the service address is held by {self.holder or 'nobody'}")
        if self.waiting == 0:
            lines.append("nothing waits in its queue")
        elif self.waiting:
            lines.append(
                f"{self.waiting} recipients wait in its queue until it is back: "
                f"each node keeps its own queue (mxfleet lab power-on {self.guest})"
            )
        return "\n".join(lines)


def off(guest: Guest, say: Callable[[str], None]) -> Outcome:
    """Cut the power. Of the service address's holder, `world` measures the outage (to 20 ms)."""
    with state.lock():
        record = state.require()
        if not guests.runs(guest.name):
            raise LabError(f"{guest.name} is off already", hint=f"mxfleet lab power-on {guest.name}")
        service = [address for address in record.facts["service"] if address in network.addresses(guest)]
        if not service:
            guests.power_off(guest, cgroup.here())
            return Outcome(guest.name, (), holder(record.facts), dead_queue.waiting(guest))
        say(f"{guest.name} holds {' '.join(service)}: world connects every 20 ms")
        with Watch(service, SMTP) as watch:
            watch.until_answers()
            moment = guests.power_off(guest, cgroup.here())
            outages = watch.outages(moment, PATIENCE)
        return Outcome(guest.name, outages, holder(record.facts), dead_queue.waiting(guest))


def on(guest: Guest) -> float:
    """Boot the guest from its own disk; seconds until it answers. One that runs is left as it is."""
    begin = time.monotonic()
    with state.lock():
        if not guests.runs(guest.name):
            guests.power_on(guest, cgroup.here())
        services.wait((guest,))
    return time.monotonic() - begin


def holder(facts: dict[str, Any]) -> str:
    """The running guest that has the first service address, by name; empty where none has."""
    for guest in guests_of(facts):
        if facts["service"] and guests.runs(guest.name) and facts["service"][0] in network.addresses(guest):
            return guest.name
    return ""
