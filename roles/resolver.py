"""resolver: a validating unbound for the host alone, then the host asks it."""

from roles import operations
from roles.rolling import Turn


def configure(turn: Turn) -> None:
    """Settings of unbound, and root hints and anchor where the fleet has its own."""
    operations.files_are_rendered(name=f"{turn}, resolver: files are as rendered", turn=turn, role="resolver")


def activate(turn: Turn) -> None:
    """The resolver first; resolv.conf names it only when it runs."""
    operations.units_run_them(name=f"{turn}, resolver: unbound runs with them", turn=turn, role="resolver")
    operations.files_are_rendered(
        name=f"{turn}, resolver: the host asks its own resolver", turn=turn, role="resolver-client"
    )
