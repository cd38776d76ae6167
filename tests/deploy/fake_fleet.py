"""An inventory of nodes that do not exist: what each answers is scripted, what each is sent is written down.

MXFLEET_FAKE is a JSON object: `log` (file for what is sent), `fleet` (an inventory, else lab), `serving`, `holder` and `converged` (node names),
`fails` ({node: part of a command that fails there}), `stuck` (nodes that
are not as they shall be even when all was sent), `locked` ({node: who deploys it}), `moves_to` (who holds the address once something was changed),
`lost` (a selector that the ledger withdraws before the nodes' locks are ours).
"""

import json
import os
from dataclasses import replace
from functools import cache
from pathlib import Path

from pyinfra.api.host import Host
from pyinfra.connectors.fake import FakeConnector
from pyinfra.connectors.util import CommandOutput, OutputLine

from mxfleet.fleet import Fleet
from mxfleet.fleet.inventory import hosts
from mxfleet.render.desired import Desired, desire
from roles import confirm, lock, operations, target
from tests.unit.render.samples import fleet_of, inputs_of, resolve, signing_of

SCRIPT = json.loads(os.environ["MXFLEET_FAKE"])
FLEET = fleet_of(SCRIPT.get("fleet", "lab"))
_LOG = Path(SCRIPT["log"])


@cache
def _all(_: Fleet) -> dict[str, Desired]:
    """As the ledger is when it is read."""
    signing = signing_of(FLEET)
    if _locking:
        kept = tuple(key for key in signing.dkim if key.selector != SCRIPT.get("lost"))
        signing = replace(signing, dkim=kept)
    return {node.name: desire(FLEET, node, signing, inputs_of(FLEET), resolve) for node in FLEET.nodes}


def _answer(desired: Desired, changed: bool) -> list[str]:
    """The observation script's output for a node that is as it shall be, or for one that is bare."""
    name = desired.node.name
    converged = name in SCRIPT.get("converged", []) or name in _proved
    holder = SCRIPT["moves_to"] if changed and "moves_to" in SCRIPT else SCRIPT.get("holder", "")
    lines = ["== digests", "== access", "== ours", "== packages", "== users", "== units"]
    if converged:
        lines = [
            "== digests", *(f"{digest}  {path}" for path, digest in desired.digests.items()),
            "== access", *(f"{f.mode:o} {f.owner} {f.group} {f.path}" for f in desired.files),
            *(f"{d.mode:o} {d.owner} {d.group} {d.path}" for d in desired.directories),
            "== ours", "== packages", *(f"ii  {p}" for p in desired.questions.packages),
            "== users", *(f"{user}:x:1" for user in desired.users),
            "== units", *(
                line for unit in desired.units for line in (
                    f"Id={unit.name}", "ActiveState=active", "UnitFileState=enabled", "NeedDaemonReload=no")),
        ]  # fmt: skip
    elif name in SCRIPT.get("serving", []):
        lines += ["Id=mxd.service", "ActiveState=active", "UnitFileState=enabled", "NeedDaemonReload=no"]
    notes = [f"{unit.name}:{desired.note(unit)}" for unit in desired.units if unit.loaded and converged]
    settings = [
        f"/proc/sys/{key.replace('.', '/')}:{value}" for key, value in desired.settings.items() if converged
    ]
    address = (
        [f"2: eth0    inet {FLEET.service.address4}/24 scope global"]
        if name in holder and FLEET.service
        else []
    )
    release = [f"/opt/mxfleet/releases/{desired.release}"] if converged else []
    releases = [desired.release] if converged else []
    return [*lines, "== loaded", *notes, "== rules", "== settings", *settings, "== addresses", *address,
            "== release", *release, "== releases", *releases, "== machine", "x86_64", "== end"]  # fmt: skip


_locking: set[str] = set()
_changed: set[str] = set()
_proved: set[str] = set()


def _run(self: FakeConnector, command: object, *_: object, **arguments: object) -> tuple[bool, CommandOutput]:
    """What pyinfra would send: written down, and answered."""
    node = self.host.data.node.name
    text = command if isinstance(command, str) else command.get_masked_value()  # type: ignore[attr-defined]
    asking = "== digests" in text
    with _LOG.open("a") as log:
        log.write(json.dumps([node, "ASK" if asking else text, bool(arguments.get("_stdin"))]) + "\n")
    if asking:
        return True, CommandOutput(
            [OutputLine("stdout", line) for line in _answer(_all(FLEET)[node], bool(_changed))]
        )
    _changed.add(node)
    if "health --wait" in text and node not in SCRIPT.get("stuck", []):
        _proved.add(node)
    if (part := SCRIPT.get("fails", {}).get(node)) and part in text:
        return False, CommandOutput([OutputLine("stderr", "mxfleet: scripted to fail")])
    return True, CommandOutput([])


def _lock(host: Host, command: str) -> tuple[object, str]:
    """The node's lock: ours, unless the script says who has it."""
    node = host.data.node.name
    _locking.add(node)
    with _LOG.open("a") as log:
        log.write(json.dumps([node, "LOCK", False]) + "\n")
    return object(), SCRIPT.get("locked", {}).get(node, lock.TAKEN)


FakeConnector.run_shell_command = _run  # type: ignore[method-assign]
target._all = _all
target.content = lambda fleet, file: file.content(resolve)
confirm.PAUSE = 0
lock.ask = _lock
confirm._run = lambda *words: "loaded"
operations._built = lambda version, machine: __file__

mx = [(f"@fake/{name}", {**data, "fake_delay": 0, "fake_delay_jitter": 0}) for name, data in hosts(FLEET)]
