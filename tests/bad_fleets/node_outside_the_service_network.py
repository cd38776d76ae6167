"""A node that VRRP could not move the address to."""

from mxfleet.fleet import Address4, Domain, Fleet, Lmtp, Network4, Node, Service

FLEET = Fleet(
    name="example",
    nodes=(Node(name="mx1", hostname="mx1.example.org", address4=Address4("192.0.2.11")), Node(name="mx2", hostname="mx2.example.org", address4=Address4("198.51.100.12")),),
    domains=(Domain(name="example.org", recipients=("alice",), route=Lmtp("imap.example.org")),),
    admin_networks=(Network4("203.0.113.0/28"),),
    service=Service(hostname="mx.example.org", address4=Address4("192.0.2.10")),
)
