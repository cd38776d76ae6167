"""The firewall's files: one rule set, default drop, both families."""

from collections.abc import Iterator

from mxfleet.render.base import noting
from mxfleet.render.file import File
from mxfleet.render.view import View

RULES = "/etc/nftables.conf"


def files(view: View) -> Iterator[File]:
    """The unit's drop-in; the rules themselves are `rules`, since they go live only when confirmed."""
    yield noting(view, "firewall", "nftables.service", (RULES,), reloads=True, live=True)


def rules(view: View) -> File:
    """The rule set of the node."""
    return view.file("rules", RULES, mode=0o644, check="nft -c -f {}")
