"""The antispam role's files: rspamd, which judges content, and the valkey that it remembers in; for this host alone."""

from collections.abc import Iterator

from mxfleet.render.base import noting
from mxfleet.render.file import File, Unit
from mxfleet.render.view import View

RSPAMD, VALKEY = "rspamd.service", "valkey-server.service"
SCANNER = "127.0.0.1:11333"
CONTROLLER = "/run/rspamd/controller.sock"
SOCKET = "/run/valkey/mxfleet.sock"
SOCKETS = (CONTROLLER, SOCKET)
SETTINGS = "/etc/rspamd/rspamd.conf"
FREEMAIL = "/etc/rspamd/mxfleet-freemail.list"
SUFFIXES = "/etc/rspamd/mxfleet-suffixes.dat"
DEBIAN_SUFFIXES = "/usr/share/publicsuffix/effective_tld_names.dat"
MEMORY = "/etc/valkey/mxfleet.conf"
NOBODY_KNOWS = "$2$fx6mg7cis6yx67yqsaxjs5pxk9u4g5wr$7ckwtrz4u6qkiazxbp5i8y9cf3h3nwdw7ub8kywgqh5pyze5f5xb"
"""A hash in rspamd's form that was never made of a password."""


def files(view: View) -> Iterator[File]:
    """Nothing where the fleet has nobody judge content."""
    if view.fleet.policy.scanner is None:
        return
    for unit in (VALKEY, RSPAMD):
        yield _file(view, f"/etc/systemd/system/{unit}.d/40-mxfleet.conf")
        yield noting(view, "antispam", unit, loaded(view, unit))
    yield _file(view, MEMORY)
    yield _file(view, FREEMAIL)
    if view.fleet.laboratory:
        yield _file(view, SUFFIXES)
    # not as root: it writes compiled patterns where rspamd itself may
    check = "runuser -u _rspamd -- rspamadm configtest -c /dev/stdin < {}"
    yield _file(view, SETTINGS, check=check, late=True)


def units(view: View) -> tuple[Unit, ...]:
    """In the order of starting: rspamd wants valkey."""
    return tuple(Unit(role="antispam", name=name, loaded=loaded(view, name)) for name in (VALKEY, RSPAMD))


def loaded(view: View, unit: str) -> tuple[str, ...]:
    """The files of ours that the unit reads when it starts."""
    own = f"/etc/systemd/system/{unit}.d/40-mxfleet.conf"
    if unit == VALKEY:
        return (own, MEMORY)
    return (own, SETTINGS, FREEMAIL, *((SUFFIXES,) if view.fleet.laboratory else ()))


def _file(view: View, path: str, check: str = "", *, late: bool = False) -> File:
    values = {
        "scanner": view.fleet.policy.scanner,
        "address": SCANNER,
        "controller": CONTROLLER,
        "valkey": SOCKET,
        "suffixes": SUFFIXES if view.fleet.laboratory else DEBIAN_SUFFIXES,
        "nobody_knows": NOBODY_KNOWS,
    }
    return view.file("antispam", path, check=check, late=late, values=values)
