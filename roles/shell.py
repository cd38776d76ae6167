"""The shell that operations send: pure functions from values to text, no secret in any of it."""

import base64
import io
import secrets
import shlex
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from mxfleet.render import Directory, File
from mxfleet.render.file import Unit

STAGE = f"/run/mxfleet/stage-{secrets.token_hex(4)}"
"""Where this run, and no other, lays files down before they are put in place."""
HEAD = "set -eu; umask 077; export LC_ALL=C"


def archive(files: Mapping[File, bytes]) -> str:
    """A tar of the files with owners and modes, as base64 lines for a command's standard input."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for file, content in files.items():
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            entry.size, entry.mode = len(content), file.mode
            entry.uname, entry.gname = file.owner, file.group
            tar.addfile(entry, io.BytesIO(content))
    return base64.encodebytes(stream.getvalue()).decode()


def stage(files: Iterable[File]) -> str:
    """Unpack standard input where only root can look, and run each file's own check on the copy."""
    checks = [check(file) for file in files if file.check and not file.late]
    return "\n".join(
        [
            HEAD,
            f"rm -rf {STAGE}; mkdir -p {STAGE}; chmod 0700 /run/mxfleet {STAGE}",
            "find /run/mxfleet -maxdepth 1 -name 'stage-*' -mmin +60 -exec rm -rf {} +",
            f"base64 -d | tar -x -p --same-owner -C {STAGE} -f -",
            *checks,
        ]
    )


def check(file: File) -> str:
    """The reader's own check of the staged copy; its complaint in one line, with the target's name."""
    command = file.check.replace("{}", shlex.quote(STAGE + file.path))
    sentence = f"mxfleet: {file.path} is refused by its reader ({reader(file)}); it was not put in place"
    return f'said=$({command} 2>&1) || {{ [ -z "$said" ] || echo "$said" >&2; echo {shlex.quote(sentence)} >&2; exit 1; }}'


def reader(file: File) -> str:
    """The program that checks the file, whoever it is run as."""
    return file.check.rpartition(" -- ")[2].split()[0]


def place(files: Iterable[File]) -> str:
    """Rename staged files into place, each from a copy beside its target; the late checks come first."""
    files = tuple(files)
    lines = [HEAD]
    for file in files:
        new, path = shlex.quote(file.path + ".mxfleet-new"), shlex.quote(file.path)
        parent = shlex.quote(str(PurePosixPath(file.path).parent))
        lines += [check(file)] if file.check and file.late else []
        lines += [
            f"[ -d {parent} ] || (umask 022; mkdir -p {parent})",
            f"cp --preserve=mode,ownership -- {shlex.quote(STAGE + file.path)} {new}; sync -- {new}; mv -fT -- {new} {path}",
        ]
    if any(file.path.startswith("/etc/systemd/system/") for file in files):
        lines.append("systemctl daemon-reload")
    return "\n".join(lines)


def run(unit: Unit) -> str:
    """Enable the unit and have it run with what is in place: by a reload where that takes everything in."""
    name, verb = shlex.quote(unit.name), "reload-or-restart" if unit.reload else "restart"
    enable = f"systemctl enable --quiet {name}"
    if not unit.fixed:
        return f"{enable} && systemctl {verb} {name}"
    return f"""{enable} || exit 1
if {unchanged(unit.name, unit.fixed)}; then systemctl {verb} {name}; else systemctl restart {name}; fi"""


def unchanged(unit: str, fixed: Iterable[str]) -> str:
    """Whether the files that no reload takes in are those that the unit was started with, by its own note."""
    return (
        f"[ \"$(sha256sum -- {shlex.join(fixed)} | sha256sum | cut -d' ' -f1)\" = "
        f'"$(cat /run/mxfleet/loaded/{unit}.fixed 2>/dev/null)" ]'
    )


def retire(units: Iterable[str]) -> str:
    """Stop units for good, and let go of them: without our drop-ins they are not ours. Their settings stay as they are."""
    lines = [HEAD]
    for unit in map(shlex.quote, units):
        lines += [
            f"systemctl disable --quiet --now {unit}",
            f"rm -f /etc/systemd/system/{unit}.d/*-mxfleet.conf /run/mxfleet/loaded/{unit} /run/mxfleet/loaded/{unit}.fixed",
        ]
    return "\n".join([*lines, "systemctl daemon-reload"])


def make(directories: Iterable[Directory]) -> str:
    """Directories with owner and mode, parents first."""
    return "\n".join(
        [HEAD]
        + [
            f"install -d -o {item.owner} -g {item.group} -m {item.mode:04o} -- {shlex.quote(item.path)}"
            for item in directories
        ]
    )


def install(packages: Iterable[str]) -> str:
    """Debian packages, without letting them start what is not configured yet (policy-rc.d, removed after)."""
    names = shlex.join(sorted(packages))
    return f"""{HEAD}; umask 022; export DEBIAN_FRONTEND=noninteractive
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 0755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
apt-get update -q >/dev/null
apt-get install -q -y --no-install-recommends -o Dpkg::Options::=--force-confold -- {names} >/dev/null"""


def unpack(releases: str, version: str, incoming: str) -> str:
    """Unpack a release beside the others and rename it; compiled here, where its Python is."""
    new, final = f"{releases}/.{version}.new", f"{releases}/{version}"
    return f"""{HEAD}; umask 022
mkdir -p {releases}; rm -rf {new}; mkdir {new}
tar -x -z -C {new} -f {incoming}; rm -f {incoming}
python3 -m compileall -q -j 0 {new}/venv/lib -s {new} -p {final}
sync -f {new}; rm -rf {final}; mv -T {new} {final}"""


def make_current(releases: str, current: str, version: str, keep: str) -> str:
    """Turn the link in one step; keep the release that ran before, remove older ones."""
    return f"""{HEAD}
ln -sfn {releases}/{version} {current}.new; mv -fT {current}.new {current}
cd {releases}; for old in *; do case $old in {version}|{keep or version}) ;; *) rm -rf -- "$old" ;; esac; done"""
