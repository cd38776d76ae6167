"""The resolver's files: a validating unbound for this host alone."""

from collections.abc import Iterator

from mxfleet.render.base import noting
from mxfleet.render.file import File
from mxfleet.render.view import View

UNBOUND = "/etc/unbound/unbound.conf.d/mxfleet.conf"
DEBIAN_ANCHOR = "/etc/unbound/unbound.conf.d/root-auto-trust-anchor-file.conf"
HINTS = "/etc/unbound/mxfleet-root.hints"
ANCHOR = "/etc/unbound/mxfleet-root.key"


def files(view: View) -> Iterator[File]:
    """With a private root (the lab), its hints and its anchor in the place of Debian's."""
    resolver = view.fleet.resolver
    if resolver.root_hints:
        yield File(role="resolver", path=HINTS, text=view.text(resolver.root_hints))
    if resolver.trust_anchor:
        yield File(role="resolver", path=ANCHOR, text=view.text(resolver.trust_anchor))
        yield view.file("resolver", DEBIAN_ANCHOR)
    yield view.file("resolver", UNBOUND, check="unbound-checkconf {}", late=True, values={"hints": HINTS})
    yield noting(view, "resolver", "unbound.service", loaded(view))


def client_files(view: View) -> Iterator[File]:
    """Who the host asks; placed when unbound runs."""
    yield view.file(
        "resolver-client", "/etc/resolv.conf", check="systemctl is-active --quiet unbound.service", late=True
    )


def loaded(view: View) -> tuple[str, ...]:
    """The files of ours that unbound reads."""
    resolver = view.fleet.resolver
    paths = [UNBOUND]
    paths += [HINTS] if resolver.root_hints else []
    paths += [ANCHOR, DEBIAN_ANCHOR] if resolver.trust_anchor else []
    return tuple(paths)
