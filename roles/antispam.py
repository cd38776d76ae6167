"""antispam: rspamd judges content for the exchange on this host, and remembers in a valkey that nobody else reaches."""

from roles import operations
from roles.rolling import Turn


def configure(turn: Turn) -> None:
    """Settings and sandboxes of both."""
    operations.files_are_rendered(name=f"{turn}, antispam: files are as rendered", turn=turn, role="antispam")


def activate(turn: Turn) -> None:
    """Both run with them, before an exchange that asks them is started."""
    operations.units_run_them(name=f"{turn}, antispam: rspamd runs with them", turn=turn, role="antispam")
