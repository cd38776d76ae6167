"""The backup role's files: restic once a day, of a queue that was copied consistently."""

from collections.abc import Iterator

from mxfleet.render.file import File, mark
from mxfleet.render.view import View

SCRIPT = "/usr/local/lib/mxfleet/backup"
PASSWORD = "/etc/mxfleet/backup-password"  # noqa: S105  (a path)
SERVICE, TIMER = "mxfleet-backup.service", "mxfleet-backup.timer"


def files(view: View) -> Iterator[File]:
    """The password is root's alone: the service itself cannot read its backups."""
    secret = view.fleet.backup.secret
    yield File(role="backup", path=PASSWORD, text=mark(secret) + "\n", secrets=(secret,), mode=0o600)
    yield view.file("backup", SCRIPT, mode=0o755, check="sh -n {}")
    yield view.file("backup", "/usr/local/lib/mxfleet/copy-spool", mode=0o755)
    yield view.file("backup", f"/etc/systemd/system/{SERVICE}")
    yield view.file("backup", f"/etc/systemd/system/{TIMER}")
