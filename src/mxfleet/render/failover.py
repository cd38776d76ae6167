"""The failover role's files: keepalived (VRRP version 3, RFC 9568) and the check that it asks."""

from collections.abc import Iterator

from mxfleet.render.base import noting
from mxfleet.render.file import File
from mxfleet.render.view import View

KEEPALIVED = "/etc/keepalived/keepalived.conf"
CHECK = "/usr/local/lib/mxfleet/check-exchange"


def files(view: View) -> Iterator[File]:
    """Nothing for a fleet without a service address."""
    if view.fleet.service is None:
        return
    yield view.file("failover", CHECK, mode=0o755, check="bash -n {}")
    yield view.file("failover", KEEPALIVED, check="keepalived -t -f {}", late=True)
    yield noting(view, "failover", "keepalived.service", (KEEPALIVED, CHECK), reloads=True)
