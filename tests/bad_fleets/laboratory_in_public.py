"""A laboratory on the Internet."""

from mxfleet.fleet import Address4, Domain, Fleet, Lmtp, Network4, Node

FLEET = Fleet(
    name="example",
    nodes=(Node(name="mx1", hostname="mx1.example.org", address4=Address4("8.8.8.8")),),
    domains=(Domain(name="example.org", recipients=("alice",), route=Lmtp("imap.example.org")),),
    admin_networks=(Network4("203.0.113.0/28"),),
    laboratory=True,
)
