"""`python -m bench.deploy [--json]`: our deploy against ansible-core doing the same work on the same lab nodes.

Pairs are interleaved, so that a noisy machine disturbs both alike. `first` begins with nodes booted from the clean
base image; that both did the same is checked by `mxfleet drift` after each of Ansible's. Results: docs/measured/.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import playbook
from bench.measured import keep
from mxfleet.errors import MxfleetError
from mxfleet.fleet import Fleet
from mxfleet.fleet.load import load_file
from mxfleet.keys.ledger import signing_for
from mxfleet.keys.secrets import resolve
from mxfleet.keys.vault import Vault
from mxfleet.lab import cgroup, guests, lifecycle, root, state
from mxfleet.lab.plan import plan_for
from mxfleet.render.desired import Desired, desire
from mxfleet.render.inputs import gather
from mxfleet.render.release import archive, version_of

ROOT = Path(__file__).resolve().parents[1]
INVENTORY = ROOT / "inventories" / "lab.py"
SCRIPTS = Path(sys.executable).parent
Times = dict[str, list[float]]


def main() -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print ratios and times as JSON")
    parser.add_argument("--first", type=int, default=2, help="pairs of first runs (each resets the nodes)")
    parser.add_argument("--noop", type=int, default=5, help="pairs of runs that change nothing")
    arguments = parser.parse_args()
    try:
        result = measure(arguments.first, arguments.noop)
    except MxfleetError as error:
        print(f"bench.deploy: {error}", file=sys.stderr)
        return 1
    keep("deploy", result)
    print(json.dumps(result, indent=2) if arguments.json else told(result))
    return 0


def measure(first: int, noop: int) -> dict[str, Any]:
    """Ratios and all times in seconds; raises LabError where the lab is not up or a run fails."""
    fleet = load_file(INVENTORY)
    state.require()
    times: dict[str, Times] = {"first": {"ours": [], "ansible": []}, "noop": {"ours": [], "ansible": []}}
    with tempfile.TemporaryDirectory(prefix="mxfleet-bench-") as name:
        directory = Path(name)
        generate(fleet, directory)
        runs = {"ours": lambda: ours(), "ansible": lambda: ansible(directory)}
        for _ in range(first):
            for who, run in runs.items():
                reset(fleet)
                say(f"first run of {who}: {timed(run, times['first'][who]):.1f} s")
                same_work()
        for _ in range(noop):
            for who, run in runs.items():
                say(f"no-op of {who}: {timed(run, times['noop'][who]):.1f} s")
    ratios = {
        kind: round(statistics.median(of["ansible"]) / statistics.median(of["ours"]), 2)
        for kind, of in times.items()
        if of["ours"]
    }
    return {"ratios": ratios, "seconds": times, "nodes": len(fleet.nodes)}


def generate(fleet: Fleet, directory: Path) -> None:
    """Write playbook, inventory, configuration and each node's files; the directory is private and soon removed."""
    vault = Vault.of(fleet, ROOT)
    signing, inputs = signing_for(fleet, ROOT), gather(fleet, version_of(ROOT), ROOT)

    def secret(reference: Any) -> bytes:  # noqa: ANN401  (SecretReference)
        return resolve(reference, vault, os.environ, ROOT)

    nodes: dict[str, Desired] = {}
    for node in fleet.nodes:
        nodes[node.name] = desired = desire(fleet, node, signing, inputs, secret)
        for file in desired.files:
            path = directory / "files" / node.name / file.path.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content(secret))
    command("mxfleet", "release", "build")
    packed = shutil.copy(archive(inputs.release, "x86_64", os.environ), directory)
    (directory / "ansible.cfg").write_text(playbook.configuration(str(fleet.ssh.config_file)))
    (directory / "hosts.json").write_text(json.dumps(playbook.inventory(nodes, f"{directory}/files")))
    (directory / "play.json").write_text(json.dumps(playbook.playbook(desired, str(packed)), indent=1))


def reset(fleet: Fleet) -> None:
    """Give the nodes back the clean disks of the base image, and boot them."""
    plan = plan_for(fleet)
    record = state.require()
    for guest in plan.nodes:
        guests.power_off(guest, cgroup.here())
        root.unmount(guest.name)
        shutil.rmtree(root.LAYERS / guest.name)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mxfleet"
    lifecycle.boot(
        fleet,
        lambda _: None,
        owner=Path(record.owner),
        inventory=record.inventory,
        cache=cache,
        take_over=False,
    )


def ours() -> None:
    """`mxfleet deploy`."""
    command("mxfleet", "deploy")


def ansible(directory: Path) -> None:
    """The same by ansible-playbook."""
    command(
        "ansible-playbook", "-i", str(directory / "hosts.json"), str(directory / "play.json"),
        ANSIBLE_CONFIG=str(directory / "ansible.cfg"),
    )  # fmt: skip


def same_work() -> None:
    """Whoever did it, our own drift finds nothing to do."""
    command("mxfleet", "drift")


def command(program: str, *words: str, **environment: str) -> None:
    """Run a program of the environment in this checkout; raises MxfleetError with its last words."""
    settings = os.environ | {"MXFLEET_FLEET": str(INVENTORY), **environment}
    done = subprocess.run(
        [str(SCRIPTS / program), *words], cwd=ROOT, env=settings, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise MxfleetError(f"{program} {' '.join(words)} ended with {done.returncode}:\n{said}")


def timed(run: Callable[[], None], times: list[float]) -> float:
    """Seconds that the run took, also kept in `times`."""
    begun = time.monotonic()
    run()
    times.append(round(time.monotonic() - begun, 2))
    return times[-1]


def told(result: dict[str, Any]) -> str:
    """The result for a person."""
    lines = []
    for kind, ratio in result["ratios"].items():
        of = result["seconds"][kind]
        mine, theirs = statistics.median(of["ours"]), statistics.median(of["ansible"])
        lines.append(
            f"{kind:<6} ours {mine:6.1f} s  ansible {theirs:6.1f} s  ratio {ratio:.1f}  (n={len(of['ours'])})"
        )
    return "\n".join(lines)


def say(sentence: str) -> None:
    """Progress, on standard error."""
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
