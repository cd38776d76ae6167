"""`world`: the Internet's name servers, and a mail host that is not ours; its files as values, pure."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mxfleet.lab import authority, difficult_peers, dnssec, machine, neighbours, templates
from mxfleet.lab import plan as lab
from mxfleet.lab.credentials import PEER_USERS, Credentials, dkim_record, file_stem, served_zones
from mxfleet.lab.plan import Plan
from mxfleet.lab.root import Entry, GuestDirectory, GuestFile

UNITS = (
    "knot.service", "named.service", "unbound.service", "postfix.service", "rspamd.service", "pebble.service",
    "nginx.service", "mxlab-peers.service", "mxlab-trust.service", "postfix-mta-sts-resolver.service",
)  # fmt: skip
RIGHTS = {
    "/etc/knot/knot.conf": (0o640, "root:knot"),
    "/usr/local/lib/mxlab/import-zone-keys": (0o755, "root:root"),
}
STATIC_ZONES = {
    dnssec.ROOT: "root",
    "test": "test",
    lab.PEER_DOMAIN: "peer.test",
    lab.BLOCKLIST: "dnsbl.test",
}
STATIC_TTL = 60
VERDICT_SYMBOLS = (
    *(f"R_SPF_{result}" for result in ("ALLOW", "FAIL", "SOFTFAIL", "NEUTRAL", "NA", "DNSFAIL", "PERMFAIL", "PLUSALL")),
    *(f"R_DKIM_{result}" for result in ("ALLOW", "REJECT", "NA", "TEMPFAIL", "PERMFAIL")),
    *(f"DMARC_POLICY_{result}" for result in ("ALLOW", "REJECT", "QUARANTINE", "SOFTFAIL")),
    "DMARC_NA", "DMARC_BAD_POLICY", "DMARC_DNSFAIL", "DKIM_SIGNED",
)  # fmt: skip
FLEET_TTL = 5


def entries(plan: Plan, credentials: Credentials) -> Iterator[Entry]:
    """Every file of `world` beyond those that all guests have."""
    values = known(plan, credentials)
    yield from templates.tree("resolver", values, {})
    yield from templates.tree("world", values, RIGHTS)
    yield from certificate(credentials, "world")
    yield GuestFile("/etc/pebble/fullchain.pem", credentials.certificates["acme"].chain)
    yield GuestFile("/etc/pebble/key.pem", credentials.certificates["acme"].key, 0o600)
    yield GuestFile("/etc/rspamd/peer.pem", credentials.peer_dkim, 0o640, "root:_rspamd")
    yield from _neighbours(credentials)
    yield GuestDirectory("/var/mail/peer", 0o755, "5000:5000")
    yield GuestDirectory("/var/lib/knot/zones", 0o750, "knot:knot")
    yield GuestDirectory("/var/lib/knot/import", 0o700, "knot:knot")
    for zone, pem in credentials.zone_keys.items():
        stem = file_stem(zone)
        yield GuestFile(f"/var/lib/knot/import/{stem}.pem", pem, 0o600, "knot:knot")
        text = zone_text(zone, plan, credentials)
        yield GuestFile(f"/var/lib/knot/zones/{stem}.zone", text, 0o640, "knot:knot")
    yield from map(machine.enabled, UNITS)


def _neighbours(credentials: Credentials) -> Iterator[Entry]:
    """The difficult hosts: their program, who they are, their certificates."""
    program = Path(difficult_peers.__file__).read_text(encoding="utf-8")
    yield GuestFile("/usr/local/lib/mxlab/difficult_peers.py", program)
    yield GuestFile(f"{neighbours.DIRECTORY}/hosts.json", neighbours.hosts())
    yield GuestDirectory(neighbours.KEEP)
    for name in neighbours.CERTIFICATES:
        yield GuestFile(f"{neighbours.DIRECTORY}/{name}.pem", credentials.certificates[name].chain)
        yield GuestFile(f"{neighbours.DIRECTORY}/{name}.key", credentials.certificates[name].key, 0o600)


def known(plan: Plan, credentials: Credentials) -> dict[str, Any]:
    """What the templates of `world` and `office` may name."""
    return {
        "world4": lab.WORLD4, "world6": lab.WORLD6,
        "secondary4": lab.SECONDARY4, "secondary6": lab.SECONDARY6,
        "operator4": lab.OPERATOR4, "operator6": lab.OPERATOR6, "verdict_symbols": VERDICT_SYMBOLS,
        "office4": lab.OFFICE4, "office6": lab.OFFICE6,
        "zones": served_zones(plan), "updatable": plan.zones,
        "key_name": plan.key_name, "algorithm": plan.algorithm, "tsig": credentials.tsig,
        "peer_users": PEER_USERS, "users": credentials.users, "mailboxes": plan.mailboxes,
        "root_hints": root_hints(), "neighbours": neighbours.NEIGHBOURS, "policies": neighbours.POLICIES,
        "trust_anchor": dnssec.trust_anchor(credentials.zone_keys[dnssec.ROOT]),
    }  # fmt: skip


def root_hints() -> str:
    """The hints file of the lab's Internet: where the root is asked."""
    return f". 3600 IN NS ns1.test.\nns1.test. 3600 IN A {lab.WORLD4}\nns1.test. 3600 IN AAAA {lab.WORLD6}\n"


def certificate(credentials: Credentials, guest: str) -> Iterator[Entry]:
    """The guest's own TLS files, and the authority that it trusts."""
    own = credentials.certificates[guest]
    yield GuestFile("/etc/ssl/mxlab/fullchain.pem", own.chain)
    yield GuestFile("/etc/ssl/mxlab/key.pem", own.key, 0o600)
    yield GuestFile("/etc/ssl/mxlab/authority.pem", credentials.authority)


def zone_text(zone: str, plan: Plan, credentials: Credentials) -> str:
    """The zone as it is before anybody updates it: master file format (RFC 1035 §5)."""
    values: Mapping[str, Any] = known(plan, credentials) | {
        "zone": zone,
        "ttl": STATIC_TTL if zone in STATIC_ZONES else FLEET_TTL,
        "children": dnssec.children(zone, credentials.zone_keys),
        "forward": not zone.endswith(".arpa"),
        "office_hosts": [name for name in plan.office_hosts if closest(name, credentials) == zone],
        "pointers": {name: host for name, host in pointers().items() if closest(name, credentials) == zone},
        "peer_tlsa": authority.tlsa(credentials.certificates["world"].key),
        "peer_keys": {name: authority.tlsa(own.key) for name, own in credentials.certificates.items()},
        "peer_dkim": dkim_record(credentials.peer_dkim),
    }
    return templates.text(f"zones/{STATIC_ZONES.get(zone, 'fleet')}.j2", values)


def closest(name: str, credentials: Credentials) -> str:
    """The zone on `world` that the name lies in."""
    return dnssec.parent(f"_.{name}", credentials.zone_keys)


def pointers() -> dict[str, str]:
    """The PTR records of the machines that are not the fleet's."""
    hosts = {
        f"operator.{lab.PEER_DOMAIN}": (lab.OPERATOR4, lab.OPERATOR6),
        f"mx.{lab.PEER_DOMAIN}": (lab.WORLD4, lab.WORLD6),
        "ns2.test": (lab.SECONDARY4, lab.SECONDARY6),
        "office.corp.test": (lab.OFFICE4, lab.OFFICE6),
    }
    pairs = [(address, name) for name, both in hosts.items() for address in both]
    pairs += [(one.address4, one.hostname) for one in neighbours.NEIGHBOURS]
    return {address.reverse_pointer: name for address, name in pairs}
