"""The load generator: compiled from generator.c at the start, run for one cell of the table."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.receiving.machine import FIRST, BenchError

SOURCES = tuple(Path(__file__).with_name(name) for name in ("generator.c",))


@dataclass(frozen=True)
class Load:
    """What is sent; see generator.c."""

    corpus: Path
    sessions: int = 100
    seconds: float = 6.0
    warm: float = 2.0
    per_connection: int = 0
    starttls: bool = False
    pipeline: bool = False
    messages: int = 0
    retry: bool = False
    acked: Path | None = None
    seed: int = 1

    def arguments(self, port: int) -> list[str]:
        """As the generator takes them."""
        words = [
            f"--port={port}",
            f"--corpus={self.corpus}",
            f"--sessions={self.sessions}",
            f"--seed={self.seed}",
        ]
        words += [f"--seconds={self.seconds}", f"--warm={self.warm}", f"--messages={self.messages}"]
        words += [f"--per-connection={self.per_connection}", "--hold"]
        words += [f"--{name}" for name in ("starttls", "pipeline", "retry") if getattr(self, name)]
        return words + ([f"--acked={self.acked}"] if self.acked else [])


@dataclass(frozen=True)
class Sent:
    """What came of it; counts and times of the window, `total` with all before and after it."""

    accepted: int
    seconds: float
    total: int
    lost_connections: int
    p50_ms: float
    p99_ms: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.accepted / self.seconds


class Generator:
    """The compiled program."""

    def __init__(self, directory: Path) -> None:
        """Compile it; raises BenchError with the compiler's words."""
        self._program = directory / "generator"
        command = ["cc", "-O2", "-o", str(self._program), *map(str, SOURCES), "-lssl", "-lcrypto", "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(
                f"the load generator does not compile: {done.stderr[-800:]}",
                hint="apt-get install libssl-dev",
            )

    @contextmanager
    def started(self, load: Load, port: int) -> Iterator["Running"]:
        """A run under way; it has ended, by its process id if need be, when this ends."""
        command = [*FIRST, str(self._program), *load.arguments(port)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            yield Running(process, load)
        finally:
            process.kill()
            process.communicate()

    def run(self, load: Load, port: int, begins: Callable[[], None], ends: Callable[[], None]) -> Sent:
        """Send; `begins` and `ends` are called at the two ends of the window, the sessions still there."""
        with self.started(load, port) as running:
            running.expect("warm")
            begins()
            running.expect("end")
            ends()
            return running.finish()


class Running:
    """A generator at work."""

    def __init__(self, process: subprocess.Popen[str], load: Load) -> None:
        self._process, self._load = process, load

    def expect(self, word: str) -> None:
        """Wait for its next line, which must be this."""
        line = self._process.stdout.readline().strip() if self._process.stdout else ""
        if line != word:
            raise BenchError(f"the load generator said {line!r} instead of {word!r}")

    def stop(self) -> Sent:
        """End the window now."""
        self._process.terminate()
        self.expect("end")
        return self.finish()

    def finish(self) -> Sent:
        """Let the sessions go; BenchError where a message was refused, or a connection lost unexpectedly."""
        output, _ = self._process.communicate("", timeout=60)
        said = json.loads(output)
        sent = Sent(
            said["accepted"], said["seconds"], said["accepted_total"], said["lost"],
            said["p50_ms"], said["p99_ms"], said["cpu_seconds"],
        )  # fmt: skip
        if said["refused"] and not self._load.retry:
            raise BenchError(
                f"{said['refused']} messages were refused, the first with {said['first_refusal']!r}"
            )
        if not self._load.retry and (said["lost"] or said["unfinished"]):
            raise BenchError(
                f"{said['lost']} connections lost, {said['unfinished']} messages without an answer"
            )
        if not sent.accepted:
            raise BenchError("no message was accepted")
        return sent


def quick(load: Load) -> Load:
    """The same for seconds."""
    return replace(load, seconds=min(load.seconds, 2.0), warm=min(load.warm, 1.0))
