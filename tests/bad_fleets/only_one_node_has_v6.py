"""One node without IPv6."""

from mxfleet.fleet import Address4, Address6, Domain, Fleet, Lmtp, Network4, Node, Service

FLEET = Fleet(
    name="example",
    nodes=(Node(name="mx1", hostname="mx1.example.org", address4=Address4("192.0.2.11"), address6=Address6("2001:db8::11")),
        Node(name="mx2", hostname="mx2.example.org", address4=Address4("192.0.2.12")),),
    domains=(Domain(name="example.org", recipients=("alice",), route=Lmtp("imap.example.org")),),
    admin_networks=(Network4("203.0.113.0/28"),),
    service=Service(hostname="mx.example.org", address4=Address4("192.0.2.10")),
)
