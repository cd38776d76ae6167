"""What goes into a base image, as a value: packages and the steps that make them inert; pure."""

import hashlib
import json
from dataclasses import asdict, dataclass

SUITE = "trixie"
FORMAT = 1
"""Raised when the way of building changes the result although the recipe's words do not."""

_SYSTEM = (
    "ca-certificates", "dbus", "iproute2", "iputils-ping", "libpam-systemd", "netbase", "nftables",
    "openssh-server", "procps", "python3", "sudo", "systemd", "systemd-sysv", "unbound",
)  # fmt: skip
_NODE = (
    "keepalived",
    "nginx-light",
    "python3-venv",
    "restic",
    "rspamd",
    "sqlite3",
    "tcpdump",
    "valkey-server",
)
_INTERNET = (
    "bind9", "bind9-dnsutils", "curl", "dovecot-core", "dovecot-imapd", "dovecot-lmtpd", "knot",
    "knot-dnssecutils", "knot-dnsutils", "libauthen-sasl-perl", "libio-socket-ssl-perl",
    "libnet-ssleay-perl", "netcat-openbsd", "nginx-light", "openssl", "pebble", "postfix", "postfix-mta-sts-resolver", "rspamd",
    "swaks", "tcpdump",
)  # fmt: skip
_OPERATOR = (
    "debian-archive-keyring", "mmdebstrap", "openssh-client", "python3-venv", "systemd-container", "util-linux",
)  # fmt: skip
_ASLEEP = (
    "apt-daily-upgrade.timer", "apt-daily.timer", "dovecot.service", "dovecot.socket", "dpkg-db-backup.timer",
    "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer", "getty@tty1.service", "keepalived.service",
    "knot.service", "named.service", "named-resolvconf.service", "nginx.service",
    "postfix-mta-sts-resolver.service", "postfix-resolvconf.path",
    "postfix.service", "rspamd.service", "systemd-networkd.service", "systemd-pstore.service",
    "unbound-resolvconf.service", "unbound.service", "valkey-server.service",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipe:
    """One base image: packages of one Debian release, and the units that a boot of it must not start."""

    name: str
    packages: tuple[str, ...]
    suite: str = SUITE
    asleep: tuple[str, ...] = _ASLEEP
    format: int = FORMAT

    @property
    def digest(self) -> str:
        """Twelve hex digits that differ whenever the recipe does."""
        words = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(words.encode()).hexdigest()[:12]

    @property
    def directory(self) -> str:
        """The image's name in the cache."""
        return f"{self.name}-{self.suite}-{self.digest}"


RECIPES = {
    "node": Recipe("node", tuple(sorted(_SYSTEM + _NODE))),
    "internet": Recipe("internet", tuple(sorted(_SYSTEM + _INTERNET))),
    "operator": Recipe("operator", tuple(sorted(_SYSTEM + _OPERATOR))),
}
"""`node` is what a mail host starts from; `internet` is what `world` and `office` are made of.

`operator` is a Debian machine on which the lab itself runs: only the test that boots a lab in a guest builds it.
"""

POLICY = 'printf "#!/bin/sh\\nexit 101\\n" > "$1/usr/sbin/policy-rc.d"; chmod 755 "$1/usr/sbin/policy-rc.d"'
"""While packages are installed no service of theirs may start, on the builder's own network as it would be."""
HOOKS = (
    'rm -f "$1"/usr/sbin/policy-rc.d',
    # An image that had host keys or a machine id would give all guests the same.
    'rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/machine-id "$1"/var/lib/dbus/machine-id "$1"/etc/resolv.conf',
    # The builder's proxy and certificates are his own.
    "sed -i '/^Acquire::http/d' \"$1\"/etc/apt/apt.conf.d/99mmdebstrap",
    'rm -rf "$1"/etc/hostname "$1"/var/log/*.log "$1"/var/cache/debconf/*-old',
)
ASLEEP = 'for unit in {units}; do rm -f "$1"/etc/systemd/system/*.wants/"$unit"; done'


def bootstrap(recipe: Recipe, target: str, sources: list[str], settings: list[str]) -> list[str]:
    """The mmdebstrap command line that builds the recipe into the directory `target`.

    `sources` are lines for sources.list, `settings` lines for apt.conf that reach the mirror from here.
    """
    options = [
        "mmdebstrap", "--quiet", "--mode=root", "--variant=apt", "--format=directory",
        '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=Acquire::Retries "3"',
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/info/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        f"--essential-hook={POLICY}",
        *(f"--customize-hook={hook}" for hook in (*HOOKS, ASLEEP.format(units=" ".join(recipe.asleep)))),
        *(f"--aptopt={setting}" for setting in settings),
        f"--include={','.join(recipe.packages)}",
    ]  # fmt: skip
    return [*options, recipe.suite, target, *sources]
