"""A guest's root file system: the base image below, a writable layer of its own above, the lab's files in it."""

import contextlib
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mxfleet.errors import LabError
from mxfleet.lab.command import attempt, run

LAYERS = Path("/var/lib/mxfleet-lab")
"""On disk, not under /run: a node's spool must be able to fsync, and memory is what the lab is short of."""


@dataclass(frozen=True, slots=True)
class GuestFile:
    """A file the lab puts into a guest before it boots; `owner` is `user:group` by the guest's own names."""

    path: str
    content: str | bytes
    mode: int = 0o644
    owner: str = "root:root"


@dataclass(frozen=True, slots=True)
class GuestLink:
    """A symbolic link; a unit is enabled by one in multi-user.target.wants, masked by one to /dev/null."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class GuestDirectory:
    """A directory whose owner is not root, or that not everybody may read."""

    path: str
    mode: int = 0o755
    owner: str = "root:root"


Entry = GuestFile | GuestLink | GuestDirectory


def directory(name: str) -> Path:
    """Where the guest's root is mounted."""
    return LAYERS / name / "root"


def mount(name: str, image: Path) -> Path:
    """Mount the guest's root on an image and return it; mounted already is no error."""
    root = directory(name)
    for part in ("upper", "work", "root"):
        (LAYERS / name / part).mkdir(parents=True, exist_ok=True)
    LAYERS.chmod(0o700)
    if not root.is_mount():
        (LAYERS / name / "upper").chmod(0o755)  # it is the guest's /
        options = f"lowerdir={image},upperdir={LAYERS / name / 'upper'},workdir={LAYERS / name / 'work'}"
        run(["mount", "-t", "overlay", f"mxlab-{name}", "-o", options, str(root)])
    return root


def fill(root: Path, entries: Iterable[Entry]) -> None:
    """Write files, links and directories into a guest that does not run."""
    users, groups = _ids(root / "etc/passwd"), _ids(root / "etc/group")
    for entry in entries:
        path = _inside(root, entry.path)
        if isinstance(entry, GuestDirectory):
            path.mkdir(parents=True, exist_ok=True)
        elif isinstance(entry, GuestLink):
            _replace(path)
            path.symlink_to(entry.target)
            continue
        else:
            _replace(path)
            content = entry.content.encode() if isinstance(entry.content, str) else entry.content
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
        user, _, group = entry.owner.partition(":")
        os.chown(path, _id(users, user, entry.path), _id(groups, group, entry.path))
        path.chmod(entry.mode)


def _replace(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def _inside(root: Path, path: str) -> Path:
    """The path below the root, of whose parents none may lead out of it by a link."""
    target = root / PurePosixPath(path).relative_to("/")
    if not target.parent.resolve().is_relative_to(root.resolve()):
        raise LabError(f"{path} leads out of the guest")
    return target


def _ids(path: Path) -> dict[str, int]:
    fields = (line.split(":") for line in path.read_text(encoding="utf-8").splitlines())
    return {field[0]: int(field[2]) for field in fields if len(field) > 2}


def _id(known: dict[str, int], name: str, path: str) -> int:
    if name.isdigit():
        return int(name)
    if name not in known:
        raise LabError(f"{path} belongs to {name}, whom the guest does not know")
    return known[name]


def append_line(root: Path, path: str, line: str) -> None:
    """Add a line to a file of the image, such as an account, unless its first field stands there already."""
    target = _inside(root, path)
    text = target.read_text(encoding="utf-8")
    key = line.split(":")[0]
    if not any(other.split(":")[0] == key for other in text.splitlines()):
        target.write_text(text + line + "\n", encoding="utf-8")


def mounted() -> list[Path]:
    """Mount points of the lab on the host, deepest first; not LAYERS itself, which may be a disk of its own."""
    points = [Path(line.split()[1]) for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    return sorted((point for point in points if LAYERS in point.parents), reverse=True)


def unmount(name: str) -> None:
    """Unmount one guest's root, where it is mounted."""
    point = directory(name)
    if point.is_mount() and not attempt(["umount", str(point)]):
        run(["umount", "--lazy", str(point)])


def remove() -> None:
    """Unmount every root and delete every writable layer, all guests at once: the disk is what takes time."""
    names = [path.name for path in LAYERS.iterdir()] if LAYERS.is_dir() else []
    with ThreadPoolExecutor(len(names) or 1) as pool:
        list(pool.map(_remove_one, names))
    if left := mounted():
        raise LabError(f"{left[0]} is still mounted", hint="see: findmnt; then mxfleet lab down again")
    shutil.rmtree(LAYERS, ignore_errors=True)


def _remove_one(name: str) -> None:
    unmount(name)
    if not directory(name).is_mount():  # ten thousand files: rm(1) is three times as fast as Python
        run(["rm", "-rf", "--one-file-system", "--", str(LAYERS / name)])
