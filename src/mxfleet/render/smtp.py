"""The smtp role's files: the service's settings, its keys and accounts, and its units."""

from collections.abc import Iterator

from mxfleet.fleet.routes import Route, Smtp, next_hops
from mxfleet.fleet.secrets import SecretReference
from mxfleet.fleet.signing import DkimKey
from mxfleet.render import antispam, tls
from mxfleet.render.base import noting
from mxfleet.render.file import File, mark
from mxfleet.render.view import View

SETTINGS = "/etc/mxfleet/mxd.toml"
ACCOUNTS = "/etc/mxfleet/accounts.toml"
RELEASES = "/opt/mxfleet/releases"
CURRENT = "/opt/mxfleet/current"
FORWARDING_KEYS = "/etc/mxfleet/srs.keys"
COMMAND = "/usr/local/sbin/mxd"
SERVICE = "mxd.service"
FIXED = (f"/etc/systemd/system/{SERVICE}",)
"""What a running service cannot take in, beside its release: its own unit, but not the drop-in, which names every key."""
NOTING = f"/etc/systemd/system/{SERVICE}.d/50-mxfleet.conf"
DKIM = "/etc/mxfleet/dkim"
TRUST = "/etc/mxfleet/trust.pem"


def sockets(view: View) -> dict[str, tuple[int, str]]:
    """Socket units with port and descriptor name; submission only where somebody may submit."""
    units = {"mxd-smtp.socket": (25, "smtp"), "mxd-health.socket": (8025, "health")}
    if view.fleet.accounts:
        units["mxd-submissions.socket"] = (465, "submissions")  # RFC 8314 §3.3
        units["mxd-submission.socket"] = (587, "submission")  # RFC 6409 §3.1
    return units


def unit_files(view: View) -> Iterator[File]:
    """The service, sandboxed, and its sockets, which systemd keeps open while the service restarts."""
    yield view.file("smtp", f"/etc/systemd/system/{SERVICE}", values={"sockets": sorted(sockets(view))})
    for unit, (port, name) in sockets(view).items():
        text = view.template("/etc/systemd/system/mxd.socket", port=port, name=name)
        yield File(role="smtp", path=f"/etc/systemd/system/{unit}", text=text)


def files(view: View) -> Iterator[File]:
    """Secrets first, the settings that name them last, tested by the release that will read them."""
    yield from unit_files(view)
    yield noting(view, "smtp", SERVICE, loaded(view), reloads=True, fixed=FIXED)
    yield view.file("smtp", COMMAND, mode=0o755, check="sh -n {}")
    yield from secret_files(view)
    yield from trust_files(view)
    for key in view.signing.called:  # beside the others, named by no settings: read when it is active
        yield dkim_file(key)
    yield view.file(
        "smtp",
        SETTINGS,
        group="mxd",
        mode=0o640,
        check=f"{RELEASES}/{view.release}/venv/bin/mxd check {{}}",
        late=True,
        values={
            "certificates": tls.served(view),
            "dkim_tables": dkim_tables(view),
            "scanner": antispam.SCANNER,
            "next_hops": lambda name, route: [
                _next_hop(name, n, hop) for n, hop in enumerate(next_hops(route))
            ],
            "forwarding_keys": FORWARDING_KEYS,
            "trust": TRUST,
            "destination_trust": destination_trust_path,
        },
    )


def secret_files(view: View) -> Iterator[File]:
    """Signing keys, passwords of next hops, keys of rewritten reverse-paths, and accounts."""
    fleet = view.fleet
    for key in view.signing.dkim:
        yield dkim_file(key)
    for name, route in [(d.name, d.route) for d in fleet.domains] + [(r.name, r.route) for r in fleet.relays]:
        for number, hop in enumerate(next_hops(route)):
            if isinstance(hop, Smtp) and hop.password:
                yield _secret(password_path(name, number), mark(hop.password) + "\n", (hop.password,))
    if fleet.forwarding:
        keys = fleet.forwarding.keys
        yield _secret(FORWARDING_KEYS, mark(keys) + "\n", (keys,))
    if view.fleet.accounts:
        secrets = tuple(account.secret for account in view.fleet.accounts)
        yield _secret(ACCOUNTS, view.template(ACCOUNTS, mark=mark), secrets)
    else:
        yield _secret(ACCOUNTS, "# nobody may submit here\n", ())


def trust_files(view: View) -> Iterator[File]:
    """The authorities that are believed on the way out: the fleet's, and those of single destinations."""
    sending = view.fleet.sending
    named = [(TRUST, sending.trust)] if sending.trust else []
    named += [(destination_trust_path(d.name), d.trust) for d in sending.destinations if d.trust]
    for path, source in named:
        yield File(role="smtp", path=path, text=view.text(source), group="mxd", mode=0o640)


def loaded(view: View) -> tuple[str, ...]:
    """Everything that the service reads when it starts; the release's version stands in the settings."""
    certificates = [path for served in tls.served(view) for path in (served.chain, served.key)]
    read = [file.path for file in (*secret_files(view), *trust_files(view))]
    return (f"/etc/systemd/system/{SERVICE}", SETTINGS, *read, *certificates)


def dkim_path(domain: str, selector: str) -> str:
    """Where a signing key is on a node."""
    return f"{DKIM}/{domain}/{selector}.pem"


def dkim_file(key: DkimKey) -> File:
    """A signing key as it lies on a node."""
    return _secret(dkim_path(key.domain, key.selector), mark(key.secret) + "\n", (key.secret,))


def dkim_tables(view: View) -> str:
    """The last part of the settings: a table for each key that signs."""
    return view.template("/etc/mxfleet/mxd.dkim.toml", dkim_path=dkim_path)


def password_path(name: str, number: int) -> str:
    """Where the password for a next hop of a domain or relay is on a node."""
    return f"/etc/mxfleet/routes/{name.replace('*', '_')}" + (f".{number}" if number else "")


def _next_hop(name: str, number: int, hop: Route) -> dict[str, str | int | bool]:
    """A next hop as the service's settings have it."""
    keys: dict[str, str | int | bool] = {
        "kind": "lmtp",
        "host": hop.host,
        "port": hop.port,
        "priority": hop.priority,
    }
    if isinstance(hop, Smtp):
        keys |= {"kind": "smtp", "require_tls": hop.require_tls}
        if hop.username:
            keys |= {"username": hop.username, "password_file": password_path(name, number)}
    return keys


def destination_trust_path(name: str) -> str:
    """Where the authorities for one destination are on a node."""
    return f"/etc/mxfleet/trust/{name.replace('*', '_')}.pem"


def _secret(path: str, text: str, secrets: tuple[SecretReference, ...]) -> File:
    return File(role="smtp", path=path, text=text, group="mxd", mode=0o640, secrets=secrets)
