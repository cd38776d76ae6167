"""What a long command says while it works: lines for a log, and on a terminal also a sign of life."""

import atexit
import sys
import time
from collections.abc import Callable
from typing import Protocol, TextIO


class Say(Protocol):
    """Called with each step as it begins; `end` closes the last one, before the command prints its result."""

    def __call__(self, sentence: str) -> None:
        """Begin a step."""
        ...

    def end(self) -> None:
        """End the last step; repeating it does nothing."""
        ...


def progress() -> Say:
    """Steps on standard error with their times; on a terminal the one at work turns beside a clock."""
    return Terminal() if sys.stderr.isatty() else Lines(sys.stderr, time.monotonic)


class Lines:
    """One line a step, with the seconds since the first."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream, self._clock, self._begin = stream, clock, clock()

    def __call__(self, sentence: str) -> None:
        """Print the line."""
        print(f"{self._clock() - self._begin:6.1f} s  {sentence}", file=self._stream, flush=True)

    def end(self) -> None:
        """Nothing to close."""


class Terminal:
    """Each step with a spinner and its own clock, which stop when the next one begins."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(finished_text="·"), TimeElapsedColumn(), TextColumn("{task.description}"))
        # Standard output stays as it is: it may be a file while standard error is the terminal.
        self._display = Progress(*columns, console=Console(stderr=True), redirect_stdout=False)
        self._running = False

    def __call__(self, sentence: str) -> None:
        """Stop the last step's clock and start the next one's."""
        from rich.markup import escape

        if not self._running:
            self._display.start()
            self._running = True
            atexit.register(self.end)  # an error on the way must not leave the cursor hidden
        self._finish_last()
        self._display.add_task(escape(sentence), total=None)

    def end(self) -> None:
        """Stop the display."""
        if self._running:
            self._finish_last()
            self._display.stop()
            self._running = False

    def _finish_last(self) -> None:
        if self._display.tasks:
            self._display.update(self._display.tasks[-1].id, total=1, completed=1)
