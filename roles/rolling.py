"""Who is changed when: one node at a time, the holder of the service address last; all at once where none serves yet."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pyinfra import host, inventory, state
from pyinfra.api import operation
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import DeployError

from mxfleet.fleet.model import Fleet
from mxfleet.render.differences import differences
from mxfleet.render.observation import Observation
from roles import Commands, facts, lock, target
from roles.sentences import refusal


@dataclass(frozen=True, slots=True)
class Roll:
    """The order of one run: turns of node names, who held the address at the start, and who needs a change."""

    turns: tuple[tuple[str, ...], ...]
    holder: str
    pending: frozenset[str]


def plan(fleet: Fleet, seen: Mapping[str, Observation], pending: frozenset[str]) -> Roll:
    """Pure. Raises DeployError where two nodes hold the service address: nobody knows which of them serves."""
    holders = [name for name in seen if _holds(fleet, seen[name])]
    if len(holders) > 1:
        raise DeployError(
            f"mxfleet: {' and '.join(sorted(holders))} both hold the service address; nothing was changed "
            "— see `mxfleet status`, mend the network between them first"
        )
    holder = holders[0] if holders else ""
    if not any(observation.serves for observation in seen.values()):
        return Roll((tuple(seen),), holder, pending)
    order = [node.name for node in fleet.roll_order if node.name in seen and node.name != holder]
    return Roll(tuple((name,) for name in [*order, *holders]), holder, pending)


def _holds(fleet: Fleet, seen: Observation) -> bool:
    return bool(fleet.service) and str(fleet.service.address4 if fleet.service else "") in seen.addresses


_roll: list[Roll] = []


def roll() -> Roll:
    """The run's order, fixed when first asked for; every node is asked before anything is changed."""
    if not _roll:
        fleet = host.data.fleet
        seen = {active.data.node.name: facts.observe(active) for active in inventory.get_active_hosts()}
        pending = frozenset(
            name for name in seen if differences(target.of(fleet, fleet.node(name)), seen[name])
        )
        if not _roll:
            _roll.append(plan(fleet, seen, pending))
    return _roll[0]


def ask_anew() -> None:
    """Forget what was read and seen while somebody else could still change it (pyinfra's preview before it asks for a yes).

    A key that was lost since then must not come back to nodes.
    """
    _roll.clear()
    target.forget()
    facts.forget_all()


@dataclass(frozen=True, slots=True)
class Turn:
    """A place in the order; every host registers every turn, and acts in its own."""

    number: int

    @property
    def mine(self) -> bool:
        """Whether it is this host's turn, and nothing has failed so far anywhere that matters to it."""
        turns = roll().turns
        failed = any(result.error_ops for result in state.results.values())
        return self.number < len(turns) and host.data.node.name in turns[self.number] and not failed

    def __str__(self) -> str:
        return f"turn {self.number + 1}"


def turns() -> Iterator[Turn]:
    """One turn for each host of the run (`host.loop` keeps pyinfra's order of operations exact)."""
    every = [Turn(number) for number in range(len(inventory.get_active_hosts()))]
    yield from host.loop(every)  # type: ignore[no-untyped-call]


HEALTHY = """mxd=/opt/mxfleet/current/venv/bin/mxd
said=$($mxd health --wait 30 2>&1) || { echo "mxfleet: the exchange does not become healthy: $said" >&2; exit 1; }
[ "$($mxd digest)" = "$(cat /run/mxd/digest)" ] || { echo 'mxfleet: the exchange runs something else than is in place' >&2; exit 1; }"""
"""Serves, commits, and says itself that it has loaded what is there."""


@operation()
def order_is_known() -> Commands:
    """Ask every node what it is like and who holds the service address, before anything is changed."""
    if state.is_executing and (other := lock.take(inventory.get_active_hosts(), then=ask_anew)):
        if other.node == host.data.node.name:
            yield refusal(other.reason, other.remedy)
        return
    order = " then ".join("+".join(turn) for turn in roll().turns)
    host.noop(f"order: {order}; holder: {roll().holder or 'nobody'}; to change: {len(roll().pending)}")
    yield from ()


@operation()
def address_stays(turn: Turn) -> Commands:
    """The service address is where it was when the run began; asked anew before a node is changed."""
    node = host.data.node.name
    if not turn.mine or node not in roll().pending or len(roll().turns) == 1:
        return
    facts.forget()
    held, holder = _holds(host.data.fleet, facts.observe()), roll().holder
    if held != (node == holder) and state.is_executing:
        now = f"{node} holds it now" if held else f"{node} has lost it"
        yield refusal(
            f"the service address moved during the run ({now}): stopped before {node} was changed",
            "run it again",
        )


@operation()
def healthy(turn: Turn) -> Commands:
    """The exchange answers and can commit, and the node shows no difference any more, before the next is touched."""
    if not turn.mine or not roll().pending:
        host.noop("nothing was changed")
        return
    yield StringCommand(HEALTHY)
    if not facts.changed():
        return
    facts.forget()
    if left := facts.differing(""):
        more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
        yield refusal(f"still not as it shall be: {left[0]}{more}", "run it again, or look at mxfleet drift")
