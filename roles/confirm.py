"""Changes that could cut the operator off: armed to undo themselves, proved by a new ssh session, then kept.

The node undoes the change by itself (a systemd timer) unless it is told to keep it, and it is told so only
after a session that did not exist before has come through, over each family that worked before.
"""

import shlex
import subprocess
import time
from dataclasses import dataclass

from pyinfra.api import State
from pyinfra.api.command import FunctionCommand, StringCommand
from pyinfra.api.host import Host

from mxfleet.fleet.model import Address, Fleet, Node
from mxfleet.render.session import ssh
from roles import Commands
from roles.sentences import say
from roles.shell import HEAD

DIRECTORY = "/run/mxfleet/confirm"
UNDO_AFTER = 15
"""Seconds until the node undoes what nobody has confirmed."""
PROBE_FOR = 8
"""Seconds in which the new session must have come through; well below UNDO_AFTER."""
PAUSE = 0.2
"""Seconds between two attempts."""

_families: dict[str, list[Address]] = {}
"""By node: its addresses over which a new session came through before anything was changed."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is changed (a word for files and units, a phrase for people), and the shell that prepares, loads, undoes, keeps it."""

    word: str
    phrase: str
    prepare: str
    load: str
    undo: str
    keep: str


def confirmed(change: Change, fleet: Fleet, node: Node) -> Commands:
    """The commands of one such change; the run stops with a sentence where it was undone."""
    families = _families.setdefault(node.name, [])
    if not families:
        yield FunctionCommand(_note_families, (fleet, node, families), {})
    yield StringCommand(arm(change))
    yield FunctionCommand(_prove, (change, fleet, node, families), {})
    yield StringCommand(keep(change))


def arm(change: Change) -> str:
    """Prepare, start the timer that undoes, and load a moment later, so that this command's answer still gets out."""
    unit, place = f"mxfleet-undo-{change.word}", f"{DIRECTORY}/{change.word}"
    load = f"""if said=$(sh -eu {place}.change 2>&1); then echo loaded >{place}.state; else echo "failed $said" >{place}.state; fi"""
    return f"""{HEAD}
mkdir -p {DIRECTORY}; chmod 0700 /run/mxfleet {DIRECTORY}
systemctl stop {unit}.timer {unit}.service 2>/dev/null || true
systemctl reset-failed {unit}.timer {unit}.service 2>/dev/null || true
echo armed >{place}.state
printf '%s\n' {shlex.quote(change.load)} >{place}.change
printf '%s\n' {shlex.quote(load)} >{place}.load
printf '%s\n' {shlex.quote(change.undo)} {shlex.quote(f"echo undone >{place}.state")} >{place}.undo
{change.prepare}
systemd-run --quiet --unit={unit} --description="undo {change.phrase} unless confirmed" \
    --on-active={UNDO_AFTER}s --timer-property=AccuracySec=100ms sh {place}.undo
systemd-run --quiet --collect --description="load {change.phrase}" \
    --on-active=300ms --timer-property=AccuracySec=50ms sh {place}.load"""


def keep(change: Change) -> str:
    """Disarm; fails where the node was quicker and has undone the change."""
    unit, state = f"mxfleet-undo-{change.word}", f"{DIRECTORY}/{change.word}.state"
    return f"""{HEAD}
systemctl stop {unit}.timer
[ "$(cat {state})" = loaded ] || {{ echo "mxfleet: {change.phrase} were undone before they were confirmed" >&2; exit 1; }}
{change.keep}"""


def _note_families(state: State, host: Host, fleet: Fleet, node: Node, families: list[Address]) -> bool:
    families += [address for address in node.addresses if _state(fleet, node, address, "") is not None]
    if not families:
        say(host, "no new ssh session comes through even now, so nothing was changed — see `ssh` by hand")
    return bool(families)


def _prove(
    state: State, host: Host, change: Change, fleet: Fleet, node: Node, families: list[Address]
) -> bool:
    """Whether a session came through over each family; only one begun after the change was seen to be loaded counts."""
    begun = time.monotonic()
    waiting, loaded = list(families), False
    while waiting and time.monotonic() < begun + PROBE_FOR:
        time.sleep(PAUSE)
        for address in tuple(waiting):
            found = _state(fleet, node, address, change.word) or ""
            if found.startswith("failed"):
                _run(fleet, node, address, f"sudo -n systemctl start mxfleet-undo-{change.word}.service")
                say(host, f"{change.phrase} could not be loaded: {found.removeprefix('failed ')}")
                return False
            if found == "loaded" and loaded:
                waiting.remove(address)
            loaded = loaded or found == "loaded"
    if waiting:
        _say_undone(host, change, fleet, node, waiting, begun)
    return not waiting


def _say_undone(
    host: Host, change: Change, fleet: Fleet, node: Node, cut: list[Address], begun: float
) -> None:
    """Wait until the node has undone it by itself, and say so with the time that it took."""
    versions = " and ".join(f"IPv{address.version}" for address in cut)
    sentence = f"{change.phrase} would have cut ssh off: no new session came through over {versions}"
    while time.monotonic() < begun + UNDO_AFTER + 15:
        if _state(fleet, node, cut[0], change.word) == "undone":
            took = time.monotonic() - begun
            say(host, f"{sentence}; the node rolled back by itself after {took:.0f} s — check admin_networks")
            return
        time.sleep(0.2)
    say(host, f"{sentence}; the node should have rolled back but does not answer — reach it by its console")


def _state(fleet: Fleet, node: Node, address: Address, word: str) -> str | None:
    """What the node says of the change, by a session that did not exist before; None where none comes through."""
    command = f"sudo -n cat {DIRECTORY}/{word}.state" if word else "true"
    return _run(fleet, node, address, command)


def _run(fleet: Fleet, node: Node, address: Address, command: str) -> str | None:
    words = [*ssh(fleet, node, address, fresh=True), command]
    try:
        result = subprocess.run(
            words, capture_output=True, text=True, timeout=5, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return None
    return result.stdout.strip() if result.returncode == 0 else None
