"""policyhost: nginx serves the MTA-STS policy by HTTPS, on the service address and on each node."""

from roles import operations
from roles.rolling import Turn


def configure(turn: Turn) -> None:
    """The policy, nginx's settings and its sandbox."""
    operations.files_are_rendered(
        name=f"{turn}, policyhost: the policy is the fleet's", turn=turn, role="policyhost"
    )


def activate(turn: Turn) -> None:
    """A reload takes in settings and certificates without interrupting anybody; a changed sandbox costs a restart."""
    operations.units_run_them(
        name=f"{turn}, policyhost: nginx serves it, if there is one", turn=turn, role="policyhost"
    )
