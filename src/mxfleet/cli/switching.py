"""Nodes give up signing keys and take their heirs, all at once, whatever else waits for a deploy."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mxfleet.errors import MxfleetError
from mxfleet.fleet import Fleet
from mxfleet.keys.ledger import read_signing
from mxfleet.keys.needs import sending_domains
from mxfleet.keys.secrets import resolve
from mxfleet.keys.sight import NodeSight
from mxfleet.keys.vault import Vault
from mxfleet.render.key_switch import of_domains, script
from mxfleet.render.view import View

SECONDS = 90.0
"""For one node: a deploy that is ending there, a reload, or else a restart."""


def switch(fleet: Fleet, vault: Vault, root: Path, seen: Sequence[NodeSight]) -> str:
    """Bring these nodes' keys to what the ledger says; in one line what could not be done."""
    from mxfleet.cli.status import ask_by_ssh

    try:
        scripts = {sight.node: _script(fleet, vault, root, sight) for sight in seen}
    except MxfleetError as error:
        return str(error)
    ask = ask_by_ssh(fleet, SECONDS)
    with ThreadPoolExecutor(max(1, len(scripts))) as pool:
        answers = pool.map(lambda name: ask(fleet.node(name), scripts[name]), scripts)
    return "; ".join(
        f"{name}: {problem.removeprefix('mxfleet: ')}"
        for name, (_, problem) in zip(scripts, answers, strict=True)
        if problem
    )


def _script(fleet: Fleet, vault: Vault, root: Path, sight: NodeSight) -> str:
    """With the keys of the fleet's domains, and of those that the node still has from an older inventory."""
    domains = frozenset(sending_domains(fleet)) | {domain for domain, _ in sight.signing}
    signing = of_domains(read_signing(root / fleet.state_directory), domains)
    view = View(fleet=fleet, node=fleet.node(sight.node), signing=signing)
    return script(view, lambda reference: resolve(reference, vault, os.environ, root))
