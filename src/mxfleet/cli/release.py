"""`mxfleet release`: build what is pushed to the nodes, and list what was built."""

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path, PurePosixPath

import typer

from mxfleet.errors import DeployError
from mxfleet.render.release import MACHINES, PYTHON, archive, lock, sources, version

app = typer.Typer(add_completion=False, help="Build what is pushed to the nodes.")

ROOT = Path(__file__).resolve().parents[3]
HOME = "/opt/mxfleet/releases"
COMMAND = """#!{home}/venv/bin/python3
import sys
from mxfleet.mxd.command import main
sys.exit(main())
"""
ENVIRONMENT = f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {PYTHON}\n"


@app.command()
def build(
    machine: str = typer.Option("x86_64", help="the node's `uname -m`: x86_64 or aarch64"),
    as_json: bool = typer.Option(False, "--json", help="print version and archive as JSON"),
) -> int:
    """Build this checkout's release, unless it is in the cache already."""
    begun = time.monotonic()
    own, locked = sources(ROOT), lock(ROOT)
    name = version(own, locked)
    path = archive(name, machine, os.environ)
    built = not path.exists()
    if built:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, pack(name, own, wheels(locked, machine)))
    if as_json:
        print(json.dumps({"version": name, "archive": str(path), "built": built}))
    else:
        took = f"built in {time.monotonic() - begun:.1f} s" if built else "in the cache"
        print(f"release {name} for {machine}: {took}: {path}")
    return 0


@app.command("list")
def list_releases(as_json: bool = typer.Option(False, "--json", help="print as JSON")) -> int:
    """List the releases in the cache, the newest first, this checkout's marked."""
    current = version(sources(ROOT), lock(ROOT))
    directory = archive("", "", os.environ).parent
    found = sorted(directory.glob("*.tar.gz"), key=lambda path: -path.stat().st_mtime)
    if as_json:
        print(json.dumps({"current": current, "archives": [str(path) for path in found]}))
        return 0
    for path in found:
        print(f"{'*' if path.name.startswith(current) else ' '} {path.name.removesuffix('.tar.gz')}")
    if not any(path.name.startswith(current) for path in found):
        print(f"* {current} (not built yet)")
    return 0


def wheels(locked: bytes, machine: str) -> dict[PurePosixPath, bytes]:
    """The locked dependencies' files, unpacked for the node's Python; raises DeployError with uv's words."""
    if machine not in MACHINES:
        raise DeployError(f"no wheels for machine {machine!r}", hint=f"known: {', '.join(MACHINES)}")
    with tempfile.TemporaryDirectory() as directory:
        requirements = Path(directory) / "node.txt"
        requirements.write_bytes(locked)
        target = Path(directory) / "packages"
        command = [
            str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--no-deps", "--require-hashes",
            "--only-binary", ":all:", "--python-version", PYTHON, "--python-platform", MACHINES[machine],
            "--target", str(target), "-r", str(requirements),
        ]  # fmt: skip
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise DeployError(
                f"the release cannot be built: {result.stderr.strip()}", hint="see locks/node.txt"
            )
        return {
            PurePosixPath(path.relative_to(target).as_posix()): path.read_bytes()
            for path in sorted(target.rglob("*"))
            if path.is_file() and path.relative_to(target).parts[0] not in ("bin", ".lock")
        }


def pack(name: str, own: dict[PurePosixPath, bytes], packages: dict[PurePosixPath, bytes]) -> bytes:
    """The archive: a venv's skeleton with everything in site-packages; the same octets for the same input."""
    site = PurePosixPath(f"venv/lib/python{PYTHON}/site-packages")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _link(tar, "venv/bin/python3", "/usr/bin/python3")
        _add(tar, "venv/pyvenv.cfg", ENVIRONMENT.encode())
        _add(tar, "venv/bin/mxd", COMMAND.format(home=f"{HOME}/{name}").encode(), 0o755)
        for path, content in sorted({**packages, **own}.items()):
            _add(tar, str(site / path), content)
    return gzip.compress(stream.getvalue(), compresslevel=6, mtime=0)


def write(path: Path, content: bytes) -> None:
    """Put the archive into the cache in one step, so that nobody ever reads half of it."""
    beside = path.with_suffix(f".{os.getpid()}.new")
    beside.write_bytes(content)
    beside.replace(path)


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.uname, entry.gname = len(content), mode, "root", "root"
    tar.addfile(entry, io.BytesIO(content))


def _link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.uname, entry.gname = tarfile.SYMTYPE, target, "root", "root"
    tar.addfile(entry)
