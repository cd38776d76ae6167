"""An account of a domain that we do not sign for."""

from mxfleet.fleet import Account, Address4, Domain, Fleet, Lmtp, Network4, Node

FLEET = Fleet(
    name="example",
    nodes=(Node(name="mx1", hostname="mx1.example.org", address4=Address4("192.0.2.11")),),
    domains=(Domain(name="example.org", recipients=("alice",), route=Lmtp("imap.example.org")),),
    admin_networks=(Network4("203.0.113.0/28"),),
    submission_hostname="submit.example.org",
    accounts=(Account("alice@example.com"),),
)
