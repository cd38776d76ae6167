"""The operations of all roles, each an end state; what is already so costs no round trip."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from threading import Lock

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.command import FileUploadCommand, StringCommand

from mxfleet.render import File
from mxfleet.render.file import Unit
from mxfleet.render.observation import Access
from mxfleet.render.release import archive
from mxfleet.render.smtp import RELEASES
from roles import Commands, facts, shell, target
from roles.rolling import Turn

_staged: dict[str, dict[str, str]] = {}


@operation()
def packages_installed() -> Commands:
    """Every role's Debian packages, in one go; they are not started by being installed."""
    if missing := [difference.subject for difference in facts.differing("", "package")]:
        yield StringCommand(shell.install(missing))
        facts.forget()  # packages bring files, users and units of their own


@operation()
def users_exist() -> Commands:
    """System users without home and shell."""
    for difference in facts.differing("", "user"):
        yield StringCommand(
            "useradd --system --user-group --no-create-home --home-dir /nonexistent",
            f"--shell /usr/sbin/nologin {shlex.quote(difference.subject)}",
        )
        facts.learn(users=facts.observe().users | {difference.subject})


@operation()
def release_unpacked() -> Commands:
    """The release lies beside the running one; built here first, where nobody has built it yet."""
    desired = target.here()
    if desired.release in facts.observe().releases:
        return
    incoming = f"/opt/mxfleet/.{desired.release}.tar.gz"
    path = _built(desired.release, facts.observe().machine)
    yield StringCommand(f"mkdir -p -m 0755 {RELEASES}")
    yield FileUploadCommand(path, incoming)
    yield StringCommand(shell.unpack(RELEASES, desired.release, incoming))
    facts.learn(releases=facts.observe().releases | {desired.release})


@operation()
def files_ready() -> Commands:
    """All changed files lie on the node, for root's eyes, and have passed their readers' checks."""
    changed = {difference.subject for difference in facts.differing("", "file")}
    if files := [file for file in target.here().files if file.path in changed]:
        yield from _stage(files)


@operation()
def no_leftovers() -> Commands:
    """What was staged is gone again."""
    if _staged.pop(host.data.node.name, None):
        yield StringCommand(f"rm -rf {shell.STAGE}")


@operation()
def directories_exist(turn: Turn) -> Commands:
    """Our directories, which only root and the service may enter."""
    if turn.mine and facts.differing("", "directory"):
        directories = target.here().directories
        yield StringCommand(shell.make(directories))
        made = {item.path: Access(item.owner, item.group, item.mode) for item in directories}
        facts.learn(access={**facts.observe().access, **made})


@operation()
def files_are_rendered(turn: Turn, role: str) -> Commands:
    """In its turn, the role's files on the node are the rendered ones."""
    if turn.mine:
        yield from placed(role)


@operation()
def units_run_them(turn: Turn, role: str) -> Commands:
    """In its turn, the role's units run, with what is in place."""
    if turn.mine:
        yield from running(role)


def placed(role: str) -> Commands:
    """The role's files as rendered: staged where they are not yet, checked, renamed into place."""
    changed = {difference.subject for difference in facts.differing(role, "file")}
    files = [file for file in target.here().of(role) if file.path in changed]
    if not files:
        return
    yield from ready(files)
    yield StringCommand(shell.place(files))
    facts.learn_files(files)


def ready(files: list[File]) -> Commands:
    """Stage the files unless this run has done so."""
    known = _staged.get(host.data.node.name, {})
    if any(known.get(file.path) != target.here().digests[file.path] for file in files):
        yield from _stage(files)


def running(role: str) -> Commands:
    """The role's units enabled, active, and with what they shall have loaded: restarted by content, not by event."""
    if retired := _among(target.here().retired, role):
        yield StringCommand(shell.retire([unit.name for unit in retired]))
        facts.learn_retired(retired)
    for unit in _among(target.here().units, role):
        yield StringCommand(shell.run(unit))
        facts.learn_units([unit])


def _among(units: tuple[Unit, ...], role: str) -> list[Unit]:
    """Those that are not as they shall be."""
    wrong = {difference.subject for difference in facts.differing(role, "unit")}
    return [unit for unit in units if unit.name in wrong]


def _stage(files: list[File]) -> Commands:
    desired, fleet = target.here(), host.data.fleet
    contents = {file: target.content(fleet, file) for file in files}
    yield StringCommand(shell.stage(files), _stdin=shell.archive(contents))
    _staged[host.data.node.name] = {file.path: desired.digests[file.path] for file in files}


_building = Lock()


def _built(version: str, machine: str) -> str:
    path = archive(version, machine, os.environ)
    with _building:
        if not path.exists():
            program = str(Path(sys.executable).with_name("mxfleet"))
            command = [program, "release", "build", "--machine", machine]
            subprocess.run(command, cwd=target.ROOT, check=True, stdout=subprocess.DEVNULL)
    return str(path)
