"""tls: chains and keys of the names that the node answers to; the smtp role loads them."""

from roles import operations
from roles.rolling import Turn


def configure(turn: Turn) -> None:
    """Certificates and keys, for the service alone."""
    operations.files_are_rendered(name=f"{turn}, tls: certificates are the ledger's", turn=turn, role="tls")
