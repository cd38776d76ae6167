"""failover: keepalived moves the service address to a node whose exchange holds a dialogue."""

from roles import operations
from roles.rolling import Turn


def configure(turn: Turn) -> None:
    """Settings of keepalived and the check that it asks."""
    operations.files_are_rendered(name=f"{turn}, failover: files are as rendered", turn=turn, role="failover")


def activate(turn: Turn) -> None:
    """A reload takes changed settings in without letting the address go."""
    operations.units_run_them(name=f"{turn}, failover: keepalived runs with them", turn=turn, role="failover")
