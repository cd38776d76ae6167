"""base: users, directories, kernel settings, journal, time, and ssh that cannot lock out who deploys."""

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.command import StringCommand

from mxfleet.render.base import SYSCTL
from mxfleet.render.file import File
from roles import Commands, facts, operations, shell, target
from roles.confirm import DIRECTORY, Change, confirmed
from roles.rolling import Turn


def install() -> None:
    """Packages of all roles, and the users that files will belong to."""
    operations.packages_installed(name="install: all roles' Debian packages are installed")
    operations.users_exist(name="install: the system users exist")


def configure(turn: Turn) -> None:
    """Our directories and the role's files."""
    operations.directories_exist(name=f"{turn}, base: our directories exist", turn=turn)
    operations.files_are_rendered(name=f"{turn}, base: files are as rendered", turn=turn, role="base")


def activate(turn: Turn) -> None:
    """The kernel and the base system's units have taken them in; ssh, only as a new session proves it."""
    kernel_settings(name=f"{turn}, base: the kernel has the settings", turn=turn)
    operations.units_run_them(name=f"{turn}, base: units run with them", turn=turn, role="base")
    access(name=f"{turn}, base: ssh is hardened and lets the operator in", turn=turn)


@operation()
def kernel_settings(turn: Turn) -> Commands:
    """The settings as the kernel reports them, not as a file has them."""
    if turn.mine and facts.differing("base", "setting"):
        yield StringCommand(f"sysctl -q -p {SYSCTL}")
        facts.learn(settings={**facts.observe().settings, **target.here().settings})


@operation()
def access(turn: Turn) -> Commands:
    """Settings of sshd and the operator's keys go live together, and are undone unless a new session comes through."""
    if not turn.mine or not facts.differing("access"):
        return
    files = list(target.here().of("access"))
    changed = {difference.subject for difference in facts.differing("access", "file")}
    yield from operations.ready([file for file in files if file.path in changed])
    yield from confirmed(change(files, changed), host.data.fleet, host.data.node)
    facts.learn_files(files)
    facts.learn_units(unit for unit in target.here().units if unit.role == "access")


def change(files: list[File], changed: set[str]) -> Change:
    """Files are put in place and sshd restarted (sessions live on); undone: what was there before, or nothing."""
    saved = {file.path: f"{DIRECTORY}/{file.path.strip('/').replace('/', '-')}" for file in files}
    return Change(
        word="access",
        phrase="the new ssh settings",
        prepare="\n".join(
            f"rm -f {copy}; [ ! -e {path} ] || cp -p {path} {copy}" for path, copy in saved.items()
        ),
        load=f"{shell.place(file for file in files if file.path in changed)}\n/usr/sbin/sshd -t\nsystemctl restart ssh.service",
        undo="; ".join(
            f"if [ -e {copy} ]; then cp -p {copy} {path}; else rm -f {path}; fi"
            for path, copy in saved.items()
        )
        + "; systemctl restart ssh.service",
        keep="systemctl enable --quiet ssh.service",
    )
