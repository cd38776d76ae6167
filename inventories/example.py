"""A production-shaped exchange to copy: two nodes in one network, three domains, public addresses."""

from mxfleet.fleet import (
    Account,
    Acme,
    Address4,
    Address6,
    Domain,
    EnvSecret,
    Fleet,
    Lmtp,
    Network4,
    Network6,
    Node,
    Rfc2136,
    Secret,
    Service,
    Smtp,
    Ssh,
    Vault,
    Zone,
    hosts,
)

_DNS = Rfc2136(server="ns1.example.org", key_name="mxfleet.", key=EnvSecret("MXFLEET_TSIG"))

FLEET = Fleet(
    name="example",
    nodes=(
        Node(
            name="mx1",
            hostname="mx1.example.org",
            address4=Address4("198.51.100.11"),
            address6=Address6("2001:db8:25::11"),
        ),
        Node(
            name="mx2",
            hostname="mx2.example.org",
            address4=Address4("198.51.100.12"),
            address6=Address6("2001:db8:25::12"),
        ),
    ),
    service=Service(
        hostname="mx.example.org", address4=Address4("198.51.100.10"), address6=Address6("2001:db8:25::10")
    ),
    submission_hostname="submit.example.org",
    domains=(
        Domain(
            name="example.org",
            recipients=("alice", "postmaster", "abuse"),
            route=Lmtp("imap.example.org", 24),
        ),
        Domain(
            name="example.net",
            recipients=("info", "postmaster", "abuse"),
            route=Smtp(
                "exchange.example.net",
                587,
                require_tls=True,
                username="relay",
                password=Secret("routes/exchange"),
            ),
        ),
        Domain(name="example.com", parked=True),
    ),
    accounts=(Account("alice@example.org"),),
    postmaster="postmaster@example.org",
    admin_networks=(Network4("203.0.113.0/28"), Network6("2001:db8:ad::/64")),
    zones=(
        Zone(name="example.org", provider=_DNS),
        Zone(name="example.net", provider=_DNS),
        Zone(name="example.com", provider=_DNS),
        # The /48 was delegated to us: its PTR are written like all records. The IPv4 network is our provider's:
        # `mxfleet dns plan` lists its PTR as advice, for him to set.
        Zone(name="5.2.0.0.8.b.d.0.1.0.0.2.ip6.arpa", provider=_DNS),
    ),
    acme=Acme(
        directory="https://acme-v02.api.letsencrypt.org/directory",
        issuer="letsencrypt.org",
        contact="postmaster@example.org",
    ),
    ssh=Ssh(user="ops"),
    vault=Vault(recipients=()),  # your team's age recipients; empty: only the operator's own identity
)

mx = hosts(FLEET)
