"""Greylisting that nobody could get through."""

from mxfleet.fleet import Address4, Domain, Fleet, Greylist, Lmtp, Network4, Node, Policy

FLEET = Fleet(
    name="example",
    nodes=(Node(name="mx1", hostname="mx1.example.org", address4=Address4("192.0.2.11")),),
    domains=(Domain(name="example.org", recipients=("alice",), route=Lmtp("imap.example.org")),),
    admin_networks=(Network4("203.0.113.0/28"),),
    policy=Policy(greylist=Greylist(delay=600, window=300)),
)
