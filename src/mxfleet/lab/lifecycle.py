"""Boot a whole lab and end it: what every other verb builds on."""

import datetime
import secrets
import shutil
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from mxfleet.errors import LabError
from mxfleet.fleet import Fleet
from mxfleet.lab import (
    cgroup,
    cloudflare,
    credentials,
    dnssec,
    faults,
    guests,
    image,
    machine,
    network,
    root,
    services,
    state,
    world,
)
from mxfleet.lab.command import attempt
from mxfleet.lab.credentials import Credentials
from mxfleet.lab.plan import PREFIX, Guest, Plan, plan_for

Say = Callable[[str], None]


def boot(fleet: Fleet, say: Say, *, owner: Path, inventory: str, cache: Path, take_over: bool) -> Plan:
    """Bring the fleet's lab up until every guest answers; repeated, it mends what is missing or broken.

    `cache` is the directory of base images. Raises LabError where another clone's lab, or one for another
    fleet, is up and `take_over` is false.
    """
    plan = plan_for(fleet)
    with state.lock():
        _claim(state.facts_of(plan, owner, inventory, complete=False), take_over, say)
        images = image.ready((guest.image for guest in plan.guests), cache, say)
        secret = _prepare(plan, owner, inventory)
        tree = cgroup.here()
        tree.prepare()
        asleep = [guest for guest in plan.guests if not guests.runs(guest.name)]
        with ThreadPoolExecutor(len(plan.guests)) as pool:
            list(pool.map(lambda guest: assemble(guest, images[guest.image], plan, secret), asleep))
        for guest in asleep:
            network.forget(guest)
            cgroup.remove_groups(tree.root / guest.machine)
        network.build(plan.guests)
        faults.heal_all(plan.guests)
        say(f"booting {', '.join(guest.name for guest in asleep)}" if asleep else "all guests run already")
        for guest in asleep:
            guests.boot(guest, tree)
        services.wait(plan.guests)
        cloudflare.start(plan, owner, tree)
        state.write(state.facts_of(plan, owner, inventory, complete=True))
    return plan


def _claim(facts: dict[str, object], take_over: bool, say: Say) -> None:
    """Make sure that whatever lab exists is the one that is asked for, or ends, or is not touched."""
    record = state.read()
    if record is None:
        if traces():
            say("removing what an earlier lab left behind")
            _end()
        return
    about = {key: facts[key] for key in ("owner", "fleet", "guests", "service", "zones", "mailboxes")}
    other = [key for key, value in about.items() if record.facts.get(key) != value]
    if not other:
        return
    if not take_over:
        raise LabError(_why_not(record, other), hint="mxfleet lab up --take-over ends that one first")
    say(f"ending the lab of {record.owner} (fleet {record.fleet})")
    _end()


def _why_not(record: state.Record, other: list[str]) -> str:
    if "owner" in other:
        return f"a lab of {record.owner} (fleet {record.fleet}) is up on this machine"
    if "fleet" in other:
        return f"this clone's lab is up for another fleet, {record.fleet}"
    return f"the lab was booted for an inventory whose {', '.join(other)} were others"


def _prepare(plan: Plan, owner: Path, inventory: str) -> Credentials:
    """Record the lab before anything of it exists, so that a crash from here on can be cleaned up."""
    network.refuse_collision()
    state.DIRECTORY.mkdir(mode=0o700, exist_ok=True)
    state.DIRECTORY.chmod(0o700)
    if state.read() is None:
        state.write(state.facts_of(plan, owner, inventory, complete=False))
    secret = credentials.load_or_make(plan, state.DIRECTORY, datetime.datetime.now(datetime.UTC))
    credentials.publish(plan, secret, state.DIRECTORY)
    (state.DIRECTORY / "root.hints").write_text(world.root_hints(), encoding="ascii")
    anchor = dnssec.trust_anchor(secret.zone_keys[dnssec.ROOT])
    (state.DIRECTORY / "root.key").write_text(anchor, encoding="ascii")
    return secret


def assemble(guest: Guest, base: Path, plan: Plan, secret: Credentials) -> None:
    """Make the guest's disk; one that was made whole before is kept as it is, like that of a real machine."""
    made = root.LAYERS / guest.name / "made-on"
    if made.exists() and Path(below := made.read_text(encoding="utf-8")).is_dir():
        root.mount(guest.name, Path(below))  # a newer image below an older layer would be neither
        return
    root.unmount(guest.name)
    shutil.rmtree(root.LAYERS / guest.name, ignore_errors=True)
    path = root.mount(guest.name, base)
    root.append_line(path, "/etc/passwd", machine.ACCOUNT)
    root.append_line(path, "/etc/group", machine.ACCOUNT_GROUP)
    root.append_line(path, "/etc/shadow", machine.ACCOUNT_SHADOW)
    identity = secrets.token_hex(16)
    root.fill(path, machine.entries(guest, secret.host_keys[guest.name], secret.login[1], identity))
    root.fill(path, services.entries(guest, plan, secret))
    made.write_text(str(base), encoding="utf-8")


def down(owner: Path | None, say: Say) -> bool:
    """End whatever lab there is, whole or half-made; whether there was one. `owner` None asks nobody."""
    with state.lock():
        record = state.read()
        if record and owner and record.owner != str(owner):
            raise LabError(
                f"the lab on this machine is that of {record.owner}", hint="mxfleet lab down --take-over"
            )
        found = traces()
        _end()
    if found:
        say("nothing of the lab is left")
    return bool(found)


def traces() -> list[str]:
    """What there is of any lab on this machine, in words; empty after `down`."""
    found = [f"namespace {name}" for name in network.namespaces()]
    found += [f"mount {point}" for point in root.mounted()]
    found += [f"directory {path}" for path in (state.DIRECTORY, root.LAYERS) if path.exists()]
    with suppress(LabError):
        found += [f"control group {path}" for path in [cgroup.here().root] if path.exists()]
    if network.is_connected():
        found.append(f"interface {network.OPERATOR}")
    return found


def _end() -> None:
    """Remove in the order in which things hold one another; each step finds its work done without complaint."""
    with ThreadPoolExecutor(2) as pool:
        connections = pool.submit(_end_shared_connections)
        ended = _end_processes()
        disks = pool.submit(root.remove)
        network.remove()
        guests.remove_traces()
        ended += connections.result()
        disks.result()
    shutil.rmtree(state.DIRECTORY, ignore_errors=True)
    network.remove_mount_of_namespaces()
    state.LOCK.unlink(missing_ok=True)
    # Zombies, until PID 1 reaps them; some reap late, and some not at all.
    cgroup.wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in ended), seconds=2.5)


def _end_processes() -> list[int]:
    """End the guests, then their keeper, which reaps them; the keeper's pid."""
    try:
        tree = cgroup.here()
    except LabError:
        return []
    if not tree.root.exists():
        return []
    groups = [path for path in tree.root.glob(f"{PREFIX}*") if path.name != guests.KEEPER_GROUP]
    with ThreadPoolExecutor(len(groups) or 1) as pool:
        list(pool.map(cgroup.kill, groups))
    keepers = cgroup.processes(tree.root)
    cgroup.kill(tree.root)
    tree.remove()
    return keepers


def _end_shared_connections() -> list[int]:
    """Tell the ssh masters that ControlPersist keeps to exit; they would outlive the guests by minutes."""
    sockets = list((state.DIRECTORY / "ssh").glob("*")) if (state.DIRECTORY / "ssh").is_dir() else []
    pids = [pid for pid in map(_master, sockets) if pid]
    for path in sockets:
        attempt(["ssh", "-O", "exit", "-S", str(path), "lab"], timeout=1)
    return pids


def _master(path: Path) -> int | None:
    """The process that listens on a control socket."""
    with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
        connection.settimeout(1)
        connection.connect(str(path))
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[0])
    return None
