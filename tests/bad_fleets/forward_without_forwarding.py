"""An alias that leads to another domain, whose SPF check would fail."""

from mxfleet.fleet import Address4, Domain, Fleet, Lmtp, Network4, Node

FLEET = Fleet(
    name="example",
    nodes=(Node(name="mx1", hostname="mx1.example.org", address4=Address4("192.0.2.11")),),
    domains=(Domain(name="example.org", recipients=("alice",), route=Lmtp("imap.example.org"), aliases={"info": ("x@example.net",)}),),
    admin_networks=(Network4("203.0.113.0/28"),),
)
