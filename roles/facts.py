"""What a node is like now: one question in one round trip, remembered, and kept up to date with what operations do.

What an operation has done is taken as done (`learn`) until the end of the node's turn, where the node is asked
anew and must show no difference (`rolling.healthy`).
"""

from collections.abc import Iterable
from dataclasses import replace
from threading import Lock
from typing import Any

from pyinfra import host
from pyinfra.api import FactBase
from pyinfra.api.exceptions import DeployError
from pyinfra.api.host import Host

from mxfleet.errors import MxfleetError
from mxfleet.render import observation
from mxfleet.render.desired import Desired
from mxfleet.render.differences import Difference, differences
from mxfleet.render.file import File, Unit
from mxfleet.render.observation import Access, Observation, UnitState
from roles import target


class NodeState(FactBase[Observation]):
    """The observation of a node, for the questions that its target asks."""

    def command(self, node: str) -> str:
        """The script; only the node's name stands in pyinfra's output."""
        return observation.script(_targets[node].questions)

    def process(self, output: Iterable[str]) -> Observation:
        """The answer as a value."""
        try:
            return observation.parse(output)
        except MxfleetError as error:
            raise DeployError(f"mxfleet: {error}") from error


_targets: dict[str, Desired] = {}
_seen: dict[str, Observation] = {}
_locks: dict[str, Lock] = {}
_changed: set[str] = set()


def observe(of: Host | None = None) -> Observation:
    """What the host (this one, if none is named) was when last asked; asks where nothing is known."""
    asked = of or host
    node = asked.data.node
    with _locks.setdefault(node.name, Lock()):
        if node.name not in _seen:
            _targets[node.name] = target.of(asked.data.fleet, node)
            _seen[node.name] = asked.get_fact(NodeState, node=node.name)
        return _seen[node.name]


def forget() -> None:
    """The next question is asked anew."""
    _seen.pop(host.data.node.name, None)


def forget_all() -> None:
    """The same, of every host."""
    _seen.clear()


def learn(**fields: Any) -> None:  # noqa: ANN401  (Observation's own fields)
    """A command has succeeded that makes these true on this host."""
    _seen[host.data.node.name] = replace(observe(), **fields)
    _changed.add(host.data.node.name)


def learn_files(files: Iterable[File]) -> None:
    """These files are in place."""
    files, seen, desired = tuple(files), observe(), target.here()
    learn(
        digests={**seen.digests, **{file.path: desired.digests[file.path] for file in files}},
        access={**seen.access, **{file.path: Access(file.owner, file.group, file.mode) for file in files}},
    )


def learn_units(units: Iterable[Unit]) -> None:
    """These units were started with what is in place."""
    units, seen, desired = tuple(units), observe(), target.here()
    learn(
        units={**seen.units, **{unit.name: UnitState("active", "enabled") for unit in units}},
        loaded={**seen.loaded, **{unit.name: (desired.note(unit),) for unit in units if unit.loaded}},
    )


def learn_retired(units: Iterable[Unit]) -> None:
    """These units were stopped, and do not start with the machine."""
    stopped = {unit.name: UnitState("inactive", "disabled") for unit in units}
    learn(units={**observe().units, **stopped})


def changed() -> bool:
    """Whether this run has changed anything on this host."""
    return host.data.node.name in _changed


def differing(role: str, *kinds: str) -> list[Difference]:
    """Where this host is not what it shall be, in one role (all roles: the empty name)."""
    found = differences(target.here(), observe())
    return [
        difference
        for difference in found
        if (not role or difference.role == role) and (not kinds or difference.kind in kinds)
    ]
