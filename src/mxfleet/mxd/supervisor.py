"""The parent: forks the workers and the courier, starts the dead again, ends them all in good order.

It never runs a thread or a loop of its own, so that it can fork at any time.
"""

import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from mxfleet.errors import MxfleetError
from mxfleet.mxd.configuration import Configuration, load
from mxfleet.mxd.counters import Shared
from mxfleet.mxd.listener import Sockets
from mxfleet.mxd.notify import notify
from mxfleet.mxd.observe import logger
from mxfleet.mxd.shared_table import SharedTables

COURIER: Final = 0  # its number; workers count from 1
START: Final = 30.0  # seconds in which all processes must be ready
RELOAD: Final = 10.0  # seconds in which all of them must have taken in what is new
STOP: Final = 25.0  # seconds in which they must have ended, before they are made to
HASTE: Final = 5.0  # a process that twice lived shorter than this waits before it is started again
_SIGNALS: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_END: Final = (signal.SIGTERM, signal.SIGINT)


class Inheritance(msgspec.Struct, frozen=True):
    """What each process gets from its parent.

    `wake` is a pipe by which workers tell the courier of new mail; `alive` is readable when the parent is gone;
    a byte into `ready` says that the process serves, or has taken in what is new. `settings` is where
    `configuration` came from.
    """

    settings: Path
    configuration: Configuration
    sockets: Sockets
    shared: Shared
    shares: SharedTables
    wake: tuple[int, int]
    alive: tuple[int, int]
    ready: tuple[int, int]


Main = Callable[[int, Inheritance], int]


class Supervisor:
    """Runs `main(number, inheritance)` in each process."""

    def __init__(
        self,
        path: Path,
        configuration: Configuration,
        sockets: Sockets,
        environment: Mapping[str, str],
        main: Main,
    ) -> None:
        """`path` is that of the settings, read anew on SIGHUP."""
        self._environment = environment
        self._main = main
        self._count = configuration.settings.service.workers + 1
        shared = Shared(self._count + 1)
        self._counters = shared.row(self._count)
        self._children: dict[int, tuple[int, float]] = {}  # pid: number, when it was started
        self._hasty: set[int] = set()  # who died young the last time
        self._log = logger("supervisor")
        pipes = [os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) for _ in range(3)]
        self._inheritance = Inheritance(
            path, configuration, sockets, shared, SharedTables(self._count - 1), pipes[0], pipes[1], pipes[2]
        )

    def run(self) -> int:
        """Serve until SIGTERM; the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        runtime = Path(self._inheritance.configuration.settings.paths.runtime)
        (runtime / "digest").unlink(missing_ok=True)  # an earlier life's says nothing of this one
        gc.collect()
        gc.freeze()  # what is here now stays: the children share it and never look for garbage in it
        for number in range(self._count):
            self._start(number)
        if not self._wait_ready():
            self._stop()
            return 1
        configuration = self._inheritance.configuration
        write_digest(runtime, configuration.digest)
        notify(self._environment, "READY=1")
        self._log.info("serving", digest=configuration.digest, workers=self._count - 1)
        self._watch()
        notify(self._environment, "STOPPING=1")
        return self._stop()

    def _start(self, number: int) -> None:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it knows what to do with it
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
                os.close(self._inheritance.alive[1])
                code = self._main(number, self._inheritance)
            except BaseException as error:  # nothing above us will say it
                self._log.error("process failed", number=number, exception=error)
            finally:
                sys.stderr.flush()
                os._exit(code)
        self._children[pid] = (number, time.monotonic())

    def _wait_ready(self) -> bool:
        """Whether all processes said so in time; one that dies before has a reason that a restart will not mend."""
        missing, until = self._count, time.monotonic() + START
        while missing and time.monotonic() < until:
            if signal.sigtimedwait((signal.SIGCHLD, *_END), 0.02) is not None:
                for number, status, _ in self._reap():
                    self._log.error("a process died before it served", number=number, status=status)
                return False
            with contextlib.suppress(BlockingIOError):
                missing -= len(os.read(self._inheritance.ready[0], missing))
        return not missing

    def _watch(self) -> None:
        """Start the dead again, until told to end."""
        while True:
            caught = signal.sigwaitinfo(_SIGNALS)
            if caught.si_signo == signal.SIGHUP:
                self._reload()
                continue
            if caught.si_signo != signal.SIGCHLD:
                return
            dead = self._reap()
            for number, status, lived in dead:
                self._log.error("a process died", number=number, status=status, lived=round(lived, 1))
                self._counters.add("process_restarts")
            if self._is_crashing(dead) and signal.sigtimedwait(_END, 1.0) is not None:
                return
            for number, _, _ in dead:
                self._start(number)

    def _reload(self) -> None:
        """Take in certificates and DKIM keys; the digest is written in any case, as the answer to who asked."""
        running = self._inheritance.configuration
        try:
            new = load(self._inheritance.settings)
        except MxfleetError as error:
            self._log.error("not reloaded", reason=str(error))
        else:
            if running.takes_in(new):
                self._hand_out(new)
            else:
                self._log.error(
                    "not reloaded", reason="more than certificates and DKIM keys differs: restart"
                )
        configuration = self._inheritance.configuration
        write_digest(Path(configuration.settings.paths.runtime), configuration.digest)

    def _hand_out(self, new: Configuration) -> None:
        """Give it to every process, those that are started later included; counts as done when all have it."""
        before, missing = self._inheritance, len(self._children)
        with contextlib.suppress(BlockingIOError):  # what a process that was started again has said
            os.read(before.ready[0], 4096)
        self._inheritance = msgspec.structs.replace(before, configuration=new)
        self._signal(signal.SIGHUP)
        until = time.monotonic() + RELOAD
        while missing and time.monotonic() < until:
            time.sleep(0.01)
            with contextlib.suppress(BlockingIOError):
                missing -= len(os.read(before.ready[0], missing))
        if missing:
            self._inheritance = before
            self._log.error("not reloaded", reason=f"{missing} processes did not answer")
        else:
            self._log.info("reloaded", digest=new.digest)

    def _is_crashing(self, dead: list[tuple[int, int, float]]) -> bool:
        """Whether one of these died young twice in a row: it would do so again at once."""
        again = False
        for number, _, lived in dead:
            again = again or (lived < HASTE and number in self._hasty)
            (self._hasty.add if lived < HASTE else self._hasty.discard)(number)
        return again

    def _reap(self) -> list[tuple[int, int, float]]:
        """Who has died: number, exit status, seconds lived."""
        dead = []
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                number, started = self._children.pop(pid)
                dead.append((number, os.waitstatus_to_exitcode(status), time.monotonic() - started))
        return dead

    def _stop(self) -> int:
        self._signal(signal.SIGTERM)
        until = time.monotonic() + STOP
        while self._children and time.monotonic() < until:
            signal.sigtimedwait([signal.SIGCHLD], 0.2)
            self._reap()
        if self._children:
            self._log.error("processes did not end in time", numbers=[n for n, _ in self._children.values()])
            self._signal(signal.SIGKILL)
            return 1
        self._log.info("ended")
        return 0

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def write_digest(runtime: Path, value: str) -> None:
    """Say what was loaded, in one step, to those who may read the runtime directory."""
    new = runtime / "digest.new"
    new.write_text(value + "\n")
    new.chmod(0o644)
    new.replace(runtime / "digest")
