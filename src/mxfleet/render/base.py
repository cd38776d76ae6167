"""The base role's files: kernel settings, journal, time, and ssh that cannot lock out who deploys."""

from collections.abc import Iterator

from mxfleet.render.file import File
from mxfleet.render.view import View

SSHD = "/etc/ssh/sshd_config.d/50-mxfleet.conf"
SYSCTL = "/etc/sysctl.d/50-mxfleet.conf"
LOADED = "/usr/local/lib/mxfleet/loaded"


def files(view: View) -> Iterator[File]:
    """Without time daemon and kernel-wide settings in a laboratory: containers have neither."""
    yield view.file("base", LOADED, mode=0o755, check="sh -n {}")
    yield view.file("base", SYSCTL)
    yield view.file("base", "/etc/systemd/journald.conf.d/50-mxfleet.conf")
    for unit in ("systemd-journald", "ssh"):
        yield noting(view, "base", f"{unit}.service", unit_files(unit))
    if not view.fleet.laboratory:
        yield view.file("base", "/etc/systemd/timesyncd.conf.d/50-mxfleet.conf")
        yield noting(view, "base", "systemd-timesyncd.service", unit_files("systemd-timesyncd"))


def access_files(view: View) -> Iterator[File]:
    """What decides who can log in: these go live only when a new session has been seen to work."""
    if keys := view.fleet.ssh.authorized_keys:
        path = f"/etc/ssh/authorized_keys.d/{view.fleet.ssh.user}"
        yield File(role="access", path=path, text=view.text(keys), check="ssh-keygen -l -f {}")
    yield view.file("access", SSHD, check="/usr/sbin/sshd -t -f {}")


def unit_files(unit: str) -> tuple[str, ...]:
    """The files of ours that a unit of the base system loads."""
    return {
        "systemd-journald": ("/etc/systemd/journald.conf.d/50-mxfleet.conf",),
        "systemd-timesyncd": ("/etc/systemd/timesyncd.conf.d/50-mxfleet.conf",),
        "ssh": (SSHD,),
    }[unit]


def noting(
    view: View,
    role: str,
    unit: str,
    loaded: tuple[str, ...],
    *,
    reloads: bool = False,
    live: bool = False,
    fixed: tuple[str, ...] = (),
) -> File:
    """A drop-in by which the unit notes, each time it starts, what it has loaded; `fixed` is noted by itself too."""
    path = "/etc/systemd/system/noting.conf"
    text = view.template(path, loaded=loaded, reloads=reloads, live=live, fixed=fixed)
    return File(role=role, path=f"/etc/systemd/system/{unit}.d/50-mxfleet.conf", text=text)
