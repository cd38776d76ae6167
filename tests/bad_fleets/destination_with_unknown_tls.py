"""A rule for a destination that asks for something that does not exist."""

from mxfleet.fleet import Address4, Destination, Domain, Fleet, Lmtp, Network4, Node, Sending

FLEET = Fleet(
    name="example",
    nodes=(Node(name="mx1", hostname="mx1.example.org", address4=Address4("192.0.2.11")),),
    domains=(Domain(name="example.org", recipients=("alice",), route=Lmtp("imap.example.org")),),
    admin_networks=(Network4("203.0.113.0/28"),),
    sending=Sending(destinations=(Destination(name="example.net", tls="mandatory"),)),
)
