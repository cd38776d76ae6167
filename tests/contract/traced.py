"""What a process did to its files and sockets, by `strace`; and the disk that a power cut would have left."""

import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

CALLS = "openat,pwrite64,write,sendto,fsync,fdatasync,ftruncate,unlink"
SECTOR = 512  # octets that a disk writes whole
_LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)")
_RESULT = re.compile(r"\) += (-?\d+)")
_PATH = re.compile(r"\d+<([^>]*)>")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass
class Call:
    """One system call: `begun` and `ended` are line numbers, so that any two calls can be compared."""

    thread: int
    name: str
    path: str
    data: bytes
    numbers: tuple[int, ...]
    begun: int
    ended: int = 0
    result: int = -1


def strace(log: Path, command: list[str]) -> list[str]:
    """The command under strace; a missing strace is a failure, for without it nothing is proved."""
    if shutil.which("strace") is None:
        pytest.fail("needs strace: sudo apt-get install strace")
    options = ["-f", "--seccomp-bpf", "-y", "-xx", "-s", "8192", "-e", "signal=none", "-e", f"trace={CALLS}"]
    return ["strace", *options, "-o", str(log), *command]


def read(log: Path) -> list[Call]:
    """All calls that returned, in the order in which they began."""
    calls: list[Call] = []
    waiting: dict[int, Call] = {}
    with log.open() as lines:
        for number, line in enumerate(lines):
            match = _LINE.match(line)
            if match is None:
                continue
            thread = int(match[1])
            if match[3]:
                call = waiting[thread] = _begun(thread, match[3], match[4], number)
                calls.append(call)
            if not line.endswith("<unfinished ...>\n") and (result := _RESULT.search(match[4])):
                ended = waiting.pop(thread)
                ended.ended, ended.result = number, int(result[1])
                if ended.name == "openat" and (opened := _PATH.search(match[4][result.start() :])):
                    ended.path = _octets(opened[1]).decode()
    return [call for call in calls if call.ended or call.result >= 0]


def _begun(thread: int, name: str, rest: str, number: int) -> Call:
    string = _STRING.search(rest)
    data = _octets(string[1]) if string else b""
    path = _PATH.match(rest)
    name_of_path = _octets(path[1]).decode() if path else data.decode("latin-1")
    plain = re.sub(r'"[^"]*"(\.\.\.)?', "", rest.partition(")")[0])
    numbers = tuple(int(word) for word in re.findall(r"(?<=, )\d+\b", plain))
    return Call(thread, name, name_of_path, data, numbers, number)


def _octets(hexadecimal: str) -> bytes:
    return bytes.fromhex(hexadecimal.replace("\\x", ""))


def transactions(calls: list[Call], log: str) -> Iterator[list[Call]]:
    """The writes to SQLite's write-ahead log by one thread, up to the page of the commit frame.

    A frame is a header of 24 octets and a page; octets 4 to 7 of a commit's header are not nought.
    """
    open_: dict[int, list[Call]] = {}
    commits: set[int] = set()
    for call in calls:
        if call.name != "pwrite64" or call.path != log:
            continue
        writes = open_.setdefault(call.thread, [])
        writes.append(call)
        if len(call.data) == 24 and call.data[4:8] != bytes(4):
            commits.add(call.thread)
        elif len(call.data) > 32 and call.thread in commits:
            commits.discard(call.thread)
            yield open_.pop(call.thread)


@dataclass
class Disk:
    """What is certainly on the disk at some moment, and what is only on its way there."""

    files: dict[str, bytearray] = field(default_factory=dict)
    pending: dict[str, list[Call]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)  # whose directory entry is certain

    def replay(self, calls: list[Call], moment: int) -> None:
        """Everything that began before the moment; a call that had not returned by then has certainly done nothing."""
        for call in calls:
            if call.begun >= moment or call.result < 0:
                continue
            if call.name == "openat":
                self.files.setdefault(call.path, bytearray())
            elif call.name == "unlink":
                self.files.pop(call.path, None)
                self.pending.pop(call.path, None)
                self.names.discard(call.path)
            elif call.name in ("pwrite64", "ftruncate"):
                self.pending.setdefault(call.path, []).append(call)
            elif call.name in ("fsync", "fdatasync") and call.ended < moment:
                self._synced(call)

    def _synced(self, sync: Call) -> None:
        """What had returned when the sync began is on the disk now that it has returned."""
        queue = self.pending.get(sync.path, [])
        for call in [c for c in queue if c.ended < sync.begun]:
            apply(self.files.setdefault(sync.path, bytearray()), call, range(len(call.data)))
            queue.remove(call)
        self.names |= {name for name in self.files if str(Path(name).parent) == sync.path}

    def cut(self, chance: random.Random) -> dict[str, bytes]:
        """The power goes: of what was on its way, any part has arrived, in any order, cut at any sector."""
        left: dict[str, bytes] = {}
        for name, content in self.files.items():
            if name not in self.names and chance.random() < 0.5:
                continue
            octets, queue = bytearray(content), list(self.pending.get(name, ()))
            chance.shuffle(queue)
            for call in queue:
                sectors = range(0, len(call.data), SECTOR)
                arrived = [at for at in sectors if chance.random() < chance.choice((0.0, 0.5, 1.0))]
                apply(
                    octets, call, [n for at in arrived for n in range(at, min(at + SECTOR, len(call.data)))]
                )
            left[name] = bytes(octets)
        return left


def apply(octets: bytearray, call: Call, which: range | list[int]) -> None:
    """Do to a file what a call did, or some octets of it."""
    if call.name == "ftruncate":
        size = call.numbers[-1]
        del octets[size:]
        octets.extend(bytes(size - len(octets)))
        return
    offset = call.numbers[-1]
    octets.extend(bytes(max(0, offset + len(call.data) - len(octets))) if which else b"")
    if isinstance(which, range):
        octets[offset : offset + len(call.data)] = call.data
    else:
        for n in which:
            octets[offset + n] = call.data[n]
