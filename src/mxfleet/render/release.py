"""Which release of the service this checkout stands for: a version that changes with the code and with the lock."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

PARTS = ("__init__.py", "errors.py", "mail", "mxd")
"""What of our own code a node runs; all else stays with the operator."""

PYTHON = "3.13"
RECIPE = "1"
"""Raised when the way in which an archive is put together changes."""

MACHINES = {"x86_64": "x86_64-manylinux_2_28", "aarch64": "aarch64-manylinux_2_28"}
"""`uname -m` of a node, and the platform whose wheels fit it."""


def sources(root: Path) -> dict[PurePosixPath, bytes]:
    """The service's own modules by their path in site-packages."""
    package = root / "src" / "mxfleet"
    found = [path for part in PARTS for path in _python_files(package / part)]
    return {
        PurePosixPath("mxfleet") / path.relative_to(package).as_posix(): path.read_bytes() for path in found
    }


def lock(root: Path) -> bytes:
    """What the service depends on, exact versions with hashes."""
    return (root / "locks" / "node.txt").read_bytes()


def version(own: Mapping[PurePosixPath, bytes], locked: bytes) -> str:
    """E.g. `0.1.0+1f0c93a5be27`: the same for the same content, on any machine."""
    digest = hashlib.sha256(f"{RECIPE} {PYTHON}\n".encode() + hashlib.sha256(locked).digest())
    for path in sorted(own):
        digest.update(f"{path}\n".encode() + hashlib.sha256(own[path]).digest())
    declared = re.search(r'__version__ = "([^"]+)"', own[PurePosixPath("mxfleet/__init__.py")].decode())
    return f"{declared[1] if declared else '0'}+{digest.hexdigest()[:12]}"


def version_of(root: Path) -> str:
    """The version of the checkout at `root`."""
    return version(sources(root), lock(root))


def archive(version: str, machine: str, environment: Mapping[str, str]) -> Path:
    """Where the built release is kept, under the user's cache directory."""
    cache = Path(environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "/root")) / ".cache")
    return cache / "mxfleet" / "releases" / f"{version}-{machine}.tar.gz"


def _python_files(path: Path) -> Iterable[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.py"))
