"""Copies of a node's queue: fetched from its latest snapshot, checked, and put in the place of the queue."""

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from mxfleet.errors import DeployError
from mxfleet.fleet.model import Fleet, Node
from mxfleet.render.session import ssh

NODE_SCRIPT = "/usr/local/lib/mxfleet/backup"

EXCHANGE = r"""sh -c 'set -eu; umask 077; spool=/var/lib/mxd/spool.sqlite; new=$spool.restored
aside=$spool.before-$(date -u +%Y%m%dT%H%M%SZ)
move() { for end in "" -wal -shm; do [ ! -e "$1$end" ] || mv -T "$1$end" "$2$end"; done; }
stop() { systemctl stop mxd.service "mxd-*.socket"; }
start() { systemctl start mxd.service && /opt/mxfleet/current/venv/bin/mxd health --wait 30 >/dev/null; }
cat >$new; chown mxd:mxd $new; sync -- $new
stop; move $spool $aside; mv -T $new $spool
if ! start; then
    stop || true; move $spool $spool.refused; move $aside $spool; start
    echo "the exchange refuses this queue (kept as $spool.refused); the one before is back" >&2; exit 1
fi
echo $aside'"""
"""Shell for root, the new queue on its standard input. The exchange is closed meanwhile, so that nothing is
accepted into a queue that is about to be put aside; peers hold the service address."""


def fetch(fleet: Fleet, node: Node, directory: Path) -> None:
    """The queue of the node's latest snapshot, as spool.sqlite in a new directory; checked to be whole."""
    directory.mkdir(mode=0o700)
    path = directory / "spool.sqlite"
    path.touch(mode=0o600)
    path.write_bytes(on(fleet, node, f"{NODE_SCRIPT} dump"))
    refuse_damaged(node, path)


def refuse_damaged(node: Node, path: Path) -> None:
    """Raise DeployError where the file is not a whole queue."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            said = database.execute("PRAGMA integrity_check").fetchone()[0]
            database.execute("SELECT count(*) FROM delivery")
    except sqlite3.Error as error:
        said = str(error)
    if said != "ok":
        raise DeployError(f"{node.name}: {path} is not a whole queue: {said}", hint="mxfleet backup list")


def exchange(fleet: Fleet, node: Node, queue: Path) -> str:
    """Put a copy in the place of the node's queue; where the old one lies now. Raises DeployError with the old one back."""
    return on(fleet, node, EXCHANGE, queue).decode().strip()


def waiting(fleet: Fleet, node: Node) -> int:
    """How many deliveries wait on the node (counted to 100 000)."""
    command = "/opt/mxfleet/current/venv/bin/mxd queue list --json --limit 100000"
    return len(json.loads(on(fleet, node, command)))


def on(fleet: Fleet, node: Node, command: str, given: Path = Path(os.devnull)) -> bytes:
    """Run it as root on the node, with a file as its standard input; raises DeployError with its last line."""
    with given.open("rb") as stream:
        words = [*ssh(fleet, node), f"sudo -n {command}"]
        result = subprocess.run(words, capture_output=True, stdin=stream, check=False)
    if result.returncode != 0:
        said = (result.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
        raise DeployError(
            f"{node.name}: {said}", hint=f"mxfleet deploy, or leave it out: --exclude {node.name}"
        )
    return result.stdout
