"""What one node shall be like: files with the digests they shall have, packages, users, units, kernel settings, release."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mxfleet.fleet.model import Fleet, Node
from mxfleet.fleet.signing import Signing
from mxfleet.fleet.transport_policy import policy_hosts
from mxfleet.render import (
    antispam,
    backup,
    base,
    failover,
    firewall,
    policyhost,
    render,
    resolver,
    smtp,
    view_of,
)
from mxfleet.render.file import Directory, File, Resolve, Unit, directories
from mxfleet.render.inputs import Inputs
from mxfleet.render.observation import Questions
from mxfleet.render.view import View


@dataclass(frozen=True, slots=True)
class Desired:
    """The node's whole target; `digests` (SHA-256, hex) of the files by path, secret ones included.

    `retired` are units that ran when the fleet was another one, and shall not run.
    """

    node: Node
    release: str
    files: tuple[File, ...]
    digests: Mapping[str, str]
    directories: tuple[Directory, ...]
    packages: Mapping[str, tuple[str, ...]]
    users: tuple[str, ...]
    units: tuple[Unit, ...]
    settings: Mapping[str, str]
    retired: tuple[Unit, ...] = ()

    @property
    def questions(self) -> Questions:
        """What must be asked of the node to compare it with this."""
        return Questions(
            paths=(
                *(file.path for file in self.files),
                *(directory.path for directory in self.directories),
                *(path for unit in self.retired for path in unit.drop_ins),
            ),
            packages=tuple(sorted({name for names in self.packages.values() for name in names})),
            users=self.users,
            units=tuple(unit.name for unit in (*self.units, *self.retired)),
            settings=tuple(self.settings),
        )

    def of(self, role: str) -> tuple[File, ...]:
        """The files of one role."""
        return tuple(file for file in self.files if file.role == role)

    def note(self, unit: Unit) -> str:
        """What the unit notes when it has loaded these files (templates/usr/local/lib/mxfleet/loaded.j2)."""
        lines = "".join(f"{self.digests[path]}  {path}\n" for path in unit.loaded)
        return hashlib.sha256(lines.encode()).hexdigest()


def desire(fleet: Fleet, node: Node, signing: Signing, inputs: Inputs, resolve: Resolve) -> Desired:
    """The target of one node; `resolve` opens secrets, so this runs on the operator's machine only."""
    files = render(fleet, node, signing, inputs)
    view = view_of(fleet, node, signing, inputs)
    return Desired(
        node=node,
        release=inputs.release,
        files=files,
        digests={file.path: file.digest(resolve) for file in files},
        directories=directories(files),
        packages=packages(fleet),
        users=users(fleet),
        units=tuple(units(view)),
        retired=tuple(retired(view)),
        settings=kernel_settings(next(file.text for file in files if file.path == base.SYSCTL)),
    )


def packages(fleet: Fleet) -> dict[str, tuple[str, ...]]:
    """Debian packages by role."""
    found = {
        "base": ("ca-certificates", "iproute2", "netbase", "openssh-server", "python3", "sudo", "tcpdump"),
        "firewall": ("nftables",),
        "resolver": ("unbound",),
        "backup": ("restic",),
    }
    if not fleet.laboratory:
        found["base"] += ("systemd-timesyncd",)
    if not fleet.resolver.trust_anchor:
        found["resolver"] += ("dns-root-data",)
    if fleet.policy.scanner:
        found["antispam"] = ("publicsuffix", "rspamd", "valkey-server")
    if policy_hosts(fleet):
        found["policyhost"] = ("nginx-light",)
    if fleet.service:
        found["failover"] = ("keepalived",)
    return found


def users(fleet: Fleet) -> tuple[str, ...]:
    """System users: who runs the service, and who asks it whether it is well."""
    return ("mxd", "keepalived_script") if fleet.service else ("mxd",)


def units(view: View) -> Iterator[Unit]:
    """Units in the order in which roles bring them up."""
    yield Unit(role="base", name="systemd-journald.service", loaded=base.unit_files("systemd-journald"))
    if not view.fleet.laboratory:
        yield Unit(role="base", name="systemd-timesyncd.service", loaded=base.unit_files("systemd-timesyncd"))
    yield Unit(role="access", name="ssh.service", loaded=base.unit_files("ssh"))
    yield Unit(role="rules", name="nftables.service", loaded=(firewall.RULES,), reload=True)
    yield Unit(role="resolver", name="unbound.service", loaded=resolver.loaded(view))
    if view.fleet.policy.scanner:
        yield from antispam.units(view)
    if policy_hosts(view.fleet):
        yield from policyhost.units(view)
    for name in smtp.sockets(view):
        yield Unit(role="smtp", name=name, loaded=(f"/etc/systemd/system/{name}",))
    yield Unit(role="smtp", name=smtp.SERVICE, loaded=smtp.loaded(view))
    if view.fleet.service:
        loaded = (failover.KEEPALIVED, failover.CHECK)
        yield Unit(role="failover", name="keepalived.service", loaded=loaded, reload=True)
    yield Unit(role="backup", name=backup.TIMER)


def retired(view: View) -> Iterator[Unit]:
    """The units of roles that another fleet may have had, and this one has not."""
    if not view.fleet.policy.scanner:
        yield from antispam.units(view)
    if not policy_hosts(view.fleet):
        yield from policyhost.units(view)


def kernel_settings(text: str) -> dict[str, str]:
    """Names and values of a sysctl.d file."""
    lines = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, value in lines}
