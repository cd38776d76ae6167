"""`mxfleet backup`: save vault, ledger and queues with restic; list what is saved; restore it into a directory."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from mxfleet.cli.drift import ROOT, included
from mxfleet.cli.queue_copies import NODE_SCRIPT, exchange, fetch, on, refuse_damaged, waiting
from mxfleet.errors import DeployError, StateMissing
from mxfleet.fleet.model import Fleet, Node

app = typer.Typer(add_completion=False, help="Save vault, ledger and queues; restore them.")

FleetFile = Annotated[Path | None, typer.Option("--fleet", help="inventory; else MXFLEET_FLEET")]
Exclude = Annotated[list[str] | None, typer.Option(help="a node to leave out, e.g. one that is down")]
AsJson = Annotated[bool, typer.Option("--json", help="as JSON")]

OPERATOR = "operator"
PASSWORD = Path("backup") / "password.age"


@dataclass(frozen=True, slots=True)
class Saved:
    """A snapshot: of which machine (`operator`: vault and ledger), restic's short id, and when (RFC 3339)."""

    of: str
    id: str
    time: str


@app.command()
def now(fleet_file: FleetFile = None, exclude: Exclude = None, as_json: AsJson = False) -> int:
    """Save vault and ledger here, and each node's queue on the node, at once."""
    fleet, nodes = _fleet(fleet_file), included(_fleet(fleet_file), exclude or ())
    save_operator(fleet)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda node: on(fleet, node, "systemctl start mxfleet-backup.service"), nodes))
    saved = latest(snapshots(fleet, nodes))
    _tell(saved, as_json, "saved")
    return 0


@app.command("list")
def list_saved(fleet_file: FleetFile = None, exclude: Exclude = None, as_json: AsJson = False) -> int:
    """List every snapshot of the operator's side and of the nodes."""
    fleet = _fleet(fleet_file)
    _tell(snapshots(fleet, included(fleet, exclude or ())), as_json, "has")
    return 0


@app.command()
def restore(
    to: Annotated[Path, typer.Option(help="an empty or new directory, for your eyes only")],
    fleet_file: FleetFile = None,
    exclude: Exclude = None,
    as_json: AsJson = False,
) -> int:
    """Restore the latest of everything into a directory: operator/ (vault, ledger) and NODE/spool.sqlite."""
    fleet = _fleet(fleet_file)
    nodes = included(fleet, exclude or ())
    if to.exists() and any(to.iterdir()):
        raise DeployError(f"{to} is not empty", hint="name a new directory")
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    _restic(fleet, ["restore", "--quiet", "latest", "--target", str(to / OPERATOR)])
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda node: fetch(fleet, node, to / node.name), nodes))
    places = [str(to / OPERATOR), *(str(to / node.name / "spool.sqlite") for node in nodes)]
    print(json.dumps({"restored": places}) if as_json else "restored:\n  " + "\n  ".join(places))
    return 0


@app.command("restore-queue")
def put_back(
    node: Annotated[str, typer.Argument(help="the node that gets the queue")],
    saved: Annotated[
        Path | None, typer.Option("--from", help="a spool.sqlite; else the node's own latest snapshot")
    ] = None,
    replace: Annotated[
        bool, typer.Option(help="although mail waits on the node; its queue is kept beside")
    ] = False,
    fleet_file: FleetFile = None,
    as_json: AsJson = False,
) -> int:
    """Put a saved queue onto a node; what was delivered after it was saved is delivered again."""
    import tempfile

    fleet = _fleet(fleet_file)
    target = fleet.node(node)
    with tempfile.TemporaryDirectory() as directory:
        if not saved:
            fetch(fleet, target, Path(directory) / node)
            saved = Path(directory) / node / "spool.sqlite"
        refuse_damaged(target, saved)
        if not replace and (count := waiting(fleet, target)):
            raise DeployError(
                f"{node}: deliveries wait there ({count}), which a restored queue would push aside; nothing was changed",
                hint="let them go first, or --replace: they are kept in a file beside the queue",
            )
        aside = exchange(fleet, target, saved)
    count = waiting(fleet, target)
    if as_json:
        print(json.dumps({"node": node, "waiting": count, "aside": aside}))
    else:
        print(
            f"{node}: the restored queue is in place, waiting deliveries: {count}; the queue before it is {aside} there"
        )
    return 0


def save_operator(fleet: Fleet) -> None:
    """Vault and ledger into the operator's repository; beside it, sealed by the same identity, its password."""
    state = ROOT / fleet.state_directory
    repository = _repository(fleet)
    if not (repository / "config").exists():
        repository.mkdir(mode=0o700, parents=True, exist_ok=True)
        _restic(fleet, ["init", "--quiet"])
    shutil.copyfile(state / "vault" / PASSWORD, _sealed_password(fleet))
    _restic(
        fleet, ["backup", "--quiet", "--host", OPERATOR, "--tag", "state", "vault", "ledger.jsonl"], state
    )
    keep = ["--keep-last", "1", "--keep-daily", str(fleet.backup.keep_daily)]
    _restic(fleet, ["forget", "--quiet", "--host", OPERATOR, "--tag", "state", *keep, "--prune"])


def snapshots(fleet: Fleet, nodes: Iterable[Node]) -> list[Saved]:
    """All snapshots, the operator's first, the oldest first."""
    operator = _read(OPERATOR, _restic(fleet, ["snapshots", "--json"]))
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda node: _read(node.name, on(fleet, node, f"{NODE_SCRIPT} list")), nodes)
        return [*operator, *(saved for one in found for saved in one)]


def latest(saved: Iterable[Saved]) -> list[Saved]:
    """The last snapshot of each machine."""
    return list({one.of: one for one in saved}.values())


def _read(of: str, answer: bytes) -> list[Saved]:
    return [Saved(of, item["short_id"], item["time"]) for item in json.loads(answer or b"[]") or []]


def _tell(saved: Sequence[Saved], as_json: bool, verb: str) -> None:
    if as_json:
        print(json.dumps([asdict(one) for one in saved]))
    for one in () if as_json else saved:
        print(f"{one.of:<9}{verb} {one.id} of {one.time[:19]}")


def _restic(fleet: Fleet, words: list[str], directory: Path | None = None) -> bytes:
    """Run restic on the operator's repository; the password goes through a pipe, never argv or environment."""
    if not shutil.which("restic"):
        raise DeployError("restic is not installed on this machine", hint="sudo apt-get install restic")
    reading, writing = os.pipe()
    try:
        os.write(writing, _password(fleet))
        os.close(writing)
        result = subprocess.run(
            ["restic", "--repo", str(_repository(fleet)), "--password-file", f"/dev/fd/{reading}", *words],
            cwd=directory, capture_output=True, stdin=subprocess.DEVNULL, pass_fds=(reading,), check=False,
        )  # fmt: skip
    finally:
        os.close(reading)
    if result.returncode != 0:
        said = result.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise DeployError(f"restic {words[0]}: {said[-1]}", hint="mxfleet backup now makes the repository")
    return result.stdout


def _password(fleet: Fleet) -> bytes:
    """From the vault; where that is lost, from the sealed copy beside the repository."""
    from mxfleet.keys.vault import Vault

    vault = Vault.of(fleet, ROOT)
    try:
        return vault.read(fleet.backup.secret.name)
    except StateMissing:
        sealed = _sealed_password(fleet)
        if not sealed.exists():
            raise
        beside = Vault(sealed.parent, vault.identity)
        return beside.read(sealed.name.removesuffix(".age"))


def _sealed_password(fleet: Fleet) -> Path:
    repository = _repository(fleet)
    return repository.with_name(f"{repository.name}.password.age")


def _repository(fleet: Fleet) -> Path:
    return ROOT / fleet.backup.operator_repository.expanduser()


def _fleet(fleet_file: Path | None) -> Fleet:
    from mxfleet.fleet.load import load

    return load(fleet_file, os.environ, ROOT)
