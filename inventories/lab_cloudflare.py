"""One node whose zones are at the Cloudflare double of tests/: `./mxfleet lab up --fleet inventories/lab_cloudflare.py`."""

from pathlib import Path

from mxfleet.fleet import (
    Account,
    Address4,
    Address6,
    Backup,
    Cloudflare,
    Domain,
    FileSecret,
    Fleet,
    KeyPeriods,
    Limits,
    Lmtp,
    Network4,
    Network6,
    Node,
    Policy,
    Resolver,
    Retry,
    Rfc2136,
    Rspamd,
    Ssh,
    Vault,
    Zone,
    hosts,
)

_RUN = Path("/run/mxfleet-lab")
_KNOT = Rfc2136(server="10.77.0.100", key_name="mxfleet.", key=FileSecret(_RUN / "tsig.secret"))
_CLOUDFLARE = Cloudflare(
    token=FileSecret(_RUN / "cloudflare.token"), address="http://127.0.0.1:7053", server="10.77.0.100"
)
_OFFICE = Lmtp("office.corp.test", 24)

FLEET = Fleet(
    name="cloudflare",
    laboratory=True,
    nodes=(
        Node(
            name="mx1",
            hostname="mx1.corp.test",
            address4=Address4("10.77.0.11"),
            address6=Address6("fd77:77::11"),
        ),
    ),
    submission_hostname="submit.corp.test",
    domains=(
        Domain(name="corp.test", recipients=("alice", "bob", "postmaster", "abuse"), route=_OFFICE),
        Domain(name="shop.test", recipients=("sales", "postmaster", "abuse"), route=_OFFICE),
        Domain(name="parked.test", parked=True),
    ),
    accounts=(Account("alice@corp.test"), Account("bob@corp.test", also=("sales@shop.test",))),
    postmaster="postmaster@corp.test",
    admin_networks=(Network4("10.77.0.1/32"), Network6("fd77:77::1/128")),
    zones=(
        Zone(name="corp.test", provider=_CLOUDFLARE),
        Zone(name="shop.test", provider=_CLOUDFLARE),
        Zone(name="parked.test", provider=_CLOUDFLARE),
        Zone(name="0.77.10.in-addr.arpa", provider=_KNOT),
        Zone(name="7.7.0.0.7.7.d.f.ip6.arpa", provider=_KNOT),
    ),
    resolver=Resolver(
        root_hints=_RUN / "root.hints",
        trust_anchor=_RUN / "root.key",
        private_zones=("test", "10.in-addr.arpa", "d.f.ip6.arpa"),
    ),
    ssh=Ssh(
        user="ops",
        key=_RUN / "id_ed25519",
        known_hosts=_RUN / "known_hosts",
        config_file=_RUN / "ssh_config",
        authorized_keys=_RUN / "id_ed25519.pub",
    ),
    vault=Vault(identity=FileSecret(Path("state/cloudflare/identity.txt"))),
    backup=Backup(operator_repository=Path("state/cloudflare/backup")),
    policy=Policy(
        record_ttl=60,  # Cloudflare's least
        dns_lists=("dnsbl.test",),
        rspamd=Rspamd(workers=1, memory=256 * 1024 * 1024, cache=16 * 1024 * 1024),
        workers=2,
        retry=Retry(first=2, longest=10, lifetime=120),
        limits=Limits(  # all clients of the lab are in one network, and tests are in a hurry
            sessions_per_address=200,
            sessions_per_prefix=600,
            connections_per_address=6000,
            connections_per_prefix=12_000,
        ),
        keys=KeyPeriods(ttl=60, visible=5, drain=130, revoked=10),
    ),
)

mx = hosts(FLEET)
