"""Own addresses on each node, the service's on exactly one."""

from mxfleet.doctor.inside import Inside
from mxfleet.fleet import Fleet, Node


def test_a_node_has_its_own_addresses_and_at_most_the_service_s(
    fleet: Fleet, node: Node, seen: Inside
) -> None:
    service = {str(address) for address in fleet.service.addresses} if fleet.service else set()
    own = dict.fromkeys(map(str, node.addresses), node.interface)
    found = {address: name for address, name in seen.addresses.items() if address not in service}
    assert (node.name, found) == (node.name, own)


def test_one_node_holds_the_service_addresses_of_both_families(
    fleet: Fleet, inside: dict[str, Inside | str]
) -> None:
    if fleet.service is None:
        return
    holders = {
        str(address): [
            name
            for name, seen in inside.items()
            if isinstance(seen, Inside) and str(address) in seen.addresses
        ]
        for address in fleet.service.addresses
    }
    first = next(iter(holders.values()))
    assert len(first) == 1, holders
    assert holders == dict.fromkeys(holders, first)
