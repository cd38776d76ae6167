"""The ledger: `state/<fleet>/ledger.jsonl`, append-only lines, each with the hash of the one before.

A line is on disk before what it announces is done. A last line without its newline was never finished, so
nothing was done on its strength: readers pass over it and the next writer cuts it off. Anything else that
does not fit is damage and stops every command. One writer at a time holds `ledger.lock`; each append also
compares the file's head with the one that it read, so that a `git pull` in between is noticed.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import msgspec

from mxfleet.errors import StateError, StateMissing
from mxfleet.fleet.model import Fleet
from mxfleet.fleet.signing import Signing
from mxfleet.keys.facts import AnyFact, Entry, Opened
from mxfleet.keys.needs import missing_in, sending_domains
from mxfleet.keys.state import Fold, State, fold, fold_all

Clock = Callable[[], datetime]
"""The time now, with its zone."""

LEDGER, LOCK = "ledger.jsonl", "ledger.lock"
START = "0" * 64
BACKWARDS = timedelta(seconds=5)
"""How far a clock may lie behind the last line (time daemons slew); more, and periods would be miscounted."""


def wall_clock() -> datetime:
    """The machine's time, the one clock that commands pass in."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Reading:
    """The whole ledger as read: entries, the head's hash (64 zeros when empty), its length and its last line's."""

    entries: tuple[Entry, ...]
    head: str
    length: int
    tail: int


def read(directory: Path) -> Reading:
    """All finished lines; raises StateMissing where there is no ledger, StateError where it is damaged."""
    path = directory / LEDGER
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise StateMissing(f"no ledger in {directory}", hint="mxfleet dkim init") from None
    except OSError as error:
        raise StateError(f"{path}: cannot be read: {error.strerror}") from error
    return parse(content, str(path))


def parse(content: bytes, name: str = LEDGER) -> Reading:
    """Entries from the file's content, hash chain checked; pure. Raises StateError with the line's number."""
    entries: list[Entry] = []
    head, length, tail = START, 0, 0
    for line in content.splitlines(keepends=True):
        if not line.endswith(b"\n"):  # torn: never finished, never acted upon
            break
        entries.append(_entry(line, head, len(entries) + 1, name))
        head, length, tail = _hash(line), length + len(line), len(line)
    return Reading(tuple(entries), head, length, tail)


def read_state(directory: Path) -> State:
    """The ledger's view; raises StateMissing or StateError."""
    return fold(read(directory).entries)


def read_signing(directory: Path) -> Signing:
    """Active DKIM keys and served certificates, as far as there are any; raises StateMissing or StateError."""
    return read_state(directory).signing()


def signing_for(fleet: Fleet, root: Path = Path()) -> Signing:
    """As `read_signing`, of this fleet's domains only and complete for them, else StateMissing with what is missing.

    A domain whose keys were all withdrawn counts as complete: a deploy must be able to take them away from nodes.
    """
    signing = read_signing(root / fleet.state_directory)
    domains = sending_domains(fleet)
    signing = replace(
        signing,
        dkim=tuple(key for key in signing.dkim if key.domain in domains),
        called=tuple(key for key in signing.called if key.domain in domains),
        unsigned=tuple(name for name in signing.unsigned if name in domains),
    )
    for sentence, remedy in missing_in(fleet, signing):
        raise StateMissing(sentence, hint=remedy)
    return signing


@contextmanager
def writing(directory: Path, clock: Clock, by: str, fleet: str) -> Iterator["Writer"]:
    """Hold the ledger's lock for one command; makes the ledger of `fleet` where there is none.

    `by` is the command, written into each line. Raises StateError where another command holds the lock, the
    ledger is another fleet's, or it is damaged.
    """
    with _locked(directory / LOCK, by):
        writer = Writer(directory / LEDGER, clock, by)
        writer.take_up(fleet)
        yield writer


@dataclass(slots=True)
class Writer:
    """Appends facts while the lock is held; `state` is the view with all of them."""

    path: Path
    clock: Clock
    by: str
    _folding: Fold = field(default_factory=Fold)
    _head: str = START
    _length: int = 0
    _tail: int = 0
    _number: int = 0
    _last: datetime | None = None

    @property
    def state(self) -> State:
        """The view now."""
        return self._folding.state()

    def take_up(self, fleet: str) -> None:
        """Read what is there, cut off a torn line, and write the first line of a new ledger."""
        if not self.path.exists() or self.path.stat().st_size == 0:
            self.append(Opened(fleet=fleet))
            return
        reading = read(self.path.parent)
        self._folding = fold_all(reading.entries)
        self._head, self._number = reading.head, len(reading.entries)
        self._length, self._tail = reading.length, reading.tail
        self._last = reading.entries[-1].at if reading.entries else None
        if self.path.stat().st_size > reading.length:
            self._cut()
        if not reading.entries:
            self.append(Opened(fleet=fleet))
        if self._folding.fleet != fleet:
            raise StateError(f"{self.path} is the ledger of fleet {self._folding.fleet!r}, not of {fleet!r}")

    def append(self, *facts: AnyFact) -> None:
        """Write facts and wait until they are on the disk; `state` has them from then on.

        Raises StateError where a fact cannot follow (nothing is written then), the file changed meanwhile,
        or the clock lies before the last line.
        """
        if not facts:
            return
        now, head = self._now(), self._head
        folding, lines = self._folding.copy(), []
        for number, fact in enumerate(facts, self._number + 1):
            entry = Entry(number=number, previous=head, at=now, by=self.by, what=fact)
            folding.add(entry)
            lines.append(msgspec.json.encode(entry) + b"\n")
            head = _hash(lines[-1])
        self._write(b"".join(lines), len(lines[-1]))
        self._folding, self._head = folding, head
        self._number, self._last = self._number + len(facts), now

    def _now(self) -> datetime:
        now = self.clock().astimezone(UTC)
        if self._last and now < self._last - BACKWARDS:
            raise StateError(
                f"the clock says {now:%Y-%m-%d %H:%M:%S} UTC, but the ledger's last line is of "
                f"{self._last:%Y-%m-%d %H:%M:%S} UTC",
                hint="set the clock right; periods of keys are counted from it",
            )
        return max(now, self._last) if self._last else now

    def _write(self, content: bytes, tail: int) -> None:
        new = not self.path.exists()
        try:
            with self.path.open("a+b") as file:
                self._refuse_changed(file)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with suppress(OSError):  # nothing was done yet on the strength of what may stand there now
                self._cut()
            raise StateError(f"{self.path}: cannot be written: {error.strerror}") from error
        if new:
            sync_directory(self.path.parent)
        self._length, self._tail = self._length + len(content), tail

    def _refuse_changed(self, file: BinaryIO) -> None:
        """Compare and swap: the file must end as it did when this writer last saw it."""
        end = file.seek(0, os.SEEK_END)
        file.seek(max(end - self._tail, 0))
        last = file.read()
        if end != self._length or (last and _hash(last) != self._head):
            raise StateError(
                f"{self.path} was changed by something else meanwhile", hint="run the command again"
            )

    def _cut(self) -> None:
        with self.path.open("r+b") as file:
            file.truncate(self._length)
            os.fsync(file.fileno())


def sync_directory(directory: Path) -> None:
    """Wait until names made or replaced in the directory are on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entry(line: bytes, head: str, number: int, name: str) -> Entry:
    restore = "restore it from version control or with: mxfleet backup restore"
    try:
        entry = msgspec.json.decode(line, type=Entry)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateError(f"{name} line {number} is damaged: {error}", hint=restore) from error
    if entry.number != number or entry.previous != head:
        raise StateError(f"{name} line {number} does not follow the line before it", hint=restore)
    return entry


def _hash(line: bytes) -> str:
    return hashlib.sha256(line.rstrip(b"\n")).hexdigest()


@contextmanager
def _locked(path: Path, by: str) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = path.open("a+")
    except OSError as error:
        raise StateError(f"{path}: cannot be written: {error.strerror}") from error
    with held as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise StateError(
                f"another command writes this ledger: {file.read().strip() or 'unknown'}",
                hint="wait for it to end, then run this again",
            ) from None
        file.truncate(0)
        file.write(f"{by} (pid {os.getpid()})")
        file.flush()
        yield
