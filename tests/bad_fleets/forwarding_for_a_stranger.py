"""Reverse-paths rewritten into a domain whose bounces go elsewhere."""

from mxfleet.fleet import Address4, Domain, Fleet, Forwarding, Lmtp, Network4, Node

FLEET = Fleet(
    name="example",
    nodes=(Node(name="mx1", hostname="mx1.example.org", address4=Address4("192.0.2.11")),),
    domains=(Domain(name="example.org", recipients=("alice",), route=Lmtp("imap.example.org")),),
    admin_networks=(Network4("203.0.113.0/28"),),
    forwarding=Forwarding(domain="example.net"),
)
