"""What a node is like now: one question in one round trip, remembered until something is changed."""

from collections.abc import Iterable
from threading import Lock

from pyinfra import host
from pyinfra.api import FactBase
from pyinfra.api.exceptions import DeployError
from pyinfra.api.host import Host

from mxfleet.errors import MxfleetError
from mxfleet.render import observation
from mxfleet.render.desired import Desired
from mxfleet.render.differences import Difference, differences
from mxfleet.render.observation import Observation
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
    """Called by whatever is about to change this host: the next question is asked anew."""
    _seen.pop(host.data.node.name, None)


def differing(role: str, *kinds: str) -> list[Difference]:
    """Where this host is not what it shall be, in one role (all roles: the empty name)."""
    found = differences(target.here(), observe())
    return [
        difference
        for difference in found
        if (not role or difference.role == role) and (not kinds or difference.kind in kinds)
    ]
