"""unbound validates: DANE and DKIM stand on its AD bit."""

from mxfleet.doctor.inside import Inside
from mxfleet.fleet import Fleet, Node


def test_the_root_zone_is_validated(node: Node, seen: Inside) -> None:
    assert (node.name, seen.answers.get(".")) == (node.name, ("NOERROR", True))


def test_our_own_domains_are_found(fleet: Fleet, node: Node, seen: Inside) -> None:
    found = {domain.name: seen.answers.get(domain.name, ("no answer", False))[0] for domain in fleet.domains}
    assert (node.name, found) == (node.name, dict.fromkeys(found, "NOERROR"))
