"""What each node shall be like, worked out once a run, under the nodes' locks: inventory, ledger, vault and release together."""

import os
from functools import cache
from pathlib import Path
from threading import Lock

from pyinfra import host
from pyinfra.api.exceptions import DeployError

from mxfleet.errors import MxfleetError
from mxfleet.fleet.model import Fleet, Node
from mxfleet.fleet.secrets import SecretReference
from mxfleet.keys.ledger import signing_for
from mxfleet.keys.secrets import resolve
from mxfleet.keys.vault import Vault
from mxfleet.render import File
from mxfleet.render.desired import Desired, desire
from mxfleet.render.inputs import gather
from mxfleet.render.release import version_of

ROOT = Path(__file__).resolve().parents[1]
_reading = Lock()


def here() -> Desired:
    """The target of the host in whose turn the code runs."""
    return of(host.data.fleet, host.data.node)


def of(fleet: Fleet, node: Node) -> Desired:
    """The target of any node; raises pyinfra's DeployError with our sentence where state is missing or wrong."""
    try:
        with _reading:  # one reading for all: what is compared is what is placed
            return _all(fleet)[node.name]
    except MxfleetError as error:
        raise DeployError(f"mxfleet: {error}") from error


def forget() -> None:
    """Ledger, vault and release are read anew by who asks next."""
    with _reading:
        _all.cache_clear()
        _secret.cache_clear()


def content(fleet: Fleet, file: File) -> bytes:
    """What the file says, its secrets put in; nobody may print it."""
    return file.content(lambda reference: _secret(fleet, reference))


@cache
def _all(fleet: Fleet) -> dict[str, Desired]:
    signing = signing_for(fleet, ROOT)
    inputs = gather(fleet, version_of(ROOT), ROOT)
    return {
        node.name: desire(fleet, node, signing, inputs, lambda reference: _secret(fleet, reference))
        for node in fleet.nodes
    }


@cache
def _secret(fleet: Fleet, reference: SecretReference) -> bytes:
    return resolve(reference, Vault.of(fleet, ROOT), os.environ, ROOT)
