"""The next hop would be asked about nobody."""

from mxfleet.fleet import Address4, Domain, Fleet, Lmtp, Network4, Node

FLEET = Fleet(
    name="example",
    nodes=(Node(name="mx1", hostname="mx1.example.org", address4=Address4("192.0.2.11")),),
    domains=(Domain(name="example.org", recipients=("alice",), catch_all=("alice",), call_ahead=True, route=Lmtp("imap.example.org")),),
    admin_networks=(Network4("203.0.113.0/28"),),
)
