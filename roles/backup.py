"""backup: restic saves the queue once a day; `mxfleet backup now` does it at once."""

from roles import operations
from roles.rolling import Turn


def configure(turn: Turn) -> None:
    """Scripts, units and the repository's password."""
    operations.files_are_rendered(name=f"{turn}, backup: files are as rendered", turn=turn, role="backup")


def activate(turn: Turn) -> None:
    """The timer."""
    operations.units_run_them(name=f"{turn}, backup: the timer runs", turn=turn, role="backup")
