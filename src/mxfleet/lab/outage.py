"""How long an address did not answer, seen from `world`: a stream of greetings, and what it says; the latter pure."""

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType

from mxfleet.errors import LabError
from mxfleet.lab import network
from mxfleet.lab.plan import PREFIX

INSIDE_WORLD = ("nsenter", f"--net={network.NAMESPACES}/{PREFIX}world")


@dataclass(frozen=True, slots=True)
class Greeting:
    """One connection that was greeted; times are monotonic seconds."""

    address: str
    begun: float
    greeted: float


@dataclass(frozen=True, slots=True)
class Outage:
    """From the power failure to the first greeting of a connection begun after it; None: never."""

    address: str
    seconds: float | None

    def told(self) -> str:
        """The outage in one line."""
        if self.seconds is None:
            return f"{self.address} does not answer any more"
        return f"{self.address} answers again after {self.seconds * 1000:.0f} ms"


def outage(address: str, moment: float, greetings: Iterable[Greeting]) -> Outage:
    """The address's outage since `moment`, as far as the greetings tell."""
    after = [one.greeted for one in greetings if one.address == address and one.begun >= moment]
    return Outage(address, min(after) - moment if after else None)


class Watch:
    """Connects to the addresses from `world`'s network while the context lasts."""

    def __init__(self, addresses: Sequence[str], port: int) -> None:
        self._addresses = list(addresses)
        self._greetings: list[Greeting] = []
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [*INSIDE_WORLD, sys.executable, "-I", "-m", "mxfleet.lab.probe", str(port), *addresses],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> "Watch":
        """Begin."""
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the probe."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        if self._process.stdout:
            self._process.stdout.close()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line)

    def _gather(self, seconds: float) -> None:
        try:
            address, begun, greeted = self._lines.get(timeout=seconds).split()
        except queue.Empty:
            return
        self._greetings.append(Greeting(address, float(begun), float(greeted)))

    def until_answers(self, seconds: float = 5.0) -> None:
        """Return when each address was greeted; raises LabError where one never is."""
        end = time.monotonic() + seconds
        while missing := set(self._addresses) - {one.address for one in self._greetings}:
            if time.monotonic() > end:
                raise LabError(
                    f"{', '.join(sorted(missing))} does not answer even before the power goes off",
                    hint="mxfleet status; mxfleet deploy",
                )
            self._gather(0.05)

    def outages(self, moment: float, patience: float) -> tuple[Outage, ...]:
        """Each address's outage since `moment`, waiting `patience` seconds at most."""
        end = time.monotonic() + patience
        while True:
            found = tuple(outage(address, moment, self._greetings) for address in self._addresses)
            if all(one.seconds is not None for one in found) or time.monotonic() > end:
                return found
            self._gather(0.05)
