"""Runs inside a node as `nobody`: sees what any user of that machine can see, as fast as it can look.

Arguments: seconds. The words to look for come on standard input, one a line. Prints each place where one stood.
"""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PLACES = (
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/run",
    "/etc/mxfleet",
    "/opt/mxfleet",
    "/home",
    "/root",
    "/var/lib/mxd",
)
STOP = Path("/run/stop-watching")
DEPTH, LARGEST = 4, 200_000


def files(place: str, depth: int = DEPTH) -> Iterator[str]:
    try:
        entries = list(os.scandir(place))
    except OSError:
        return
    for entry in entries:
        if (
            entry.is_dir(follow_symlinks=False)
            and depth
            and entry.name not in ("releases", "udev", "credentials")
        ):
            yield from files(entry.path, depth - 1)
        elif entry.is_file(follow_symlinks=False):
            yield entry.path


def processes() -> Iterator[str]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            yield f"{entry.path}/cmdline"
            yield f"{entry.path}/environ"


def look(paths: Iterator[str], words: list[bytes]) -> Iterator[str]:
    for path in paths:
        try:
            with Path(path).open("rb") as file:
                octets = file.read(LARGEST)
        except OSError:
            continue
        if any(word in octets for word in words):
            yield path


def main() -> None:
    words = [line.strip() for line in sys.stdin.buffer if line.strip()]
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    end, rounds = time.monotonic() + float(sys.argv[1]), 0
    found: set[str] = set()
    while time.monotonic() < end and not STOP.exists():
        for paths in (*map(files, PLACES), processes()):
            found |= set(look(paths, words))
        rounds += 1
    sys.stdout.write("".join(f"{path}\n" for path in sorted(found)) + f"rounds {rounds}\n")


if __name__ == "__main__":
    main()
