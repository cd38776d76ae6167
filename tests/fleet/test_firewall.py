"""The rules that the kernel has, not those in a file."""

from ipaddress import IPv4Address, IPv4Network

from mxfleet.doctor.inside import Inside
from mxfleet.fleet import Fleet, Node


def test_what_comes_in_or_passes_through_is_dropped_by_default_in_both_families(
    node: Node, seen: Inside
) -> None:
    found = {f"{chain.family} {chain.hook}": chain.policy for chain in seen.chains}
    assert (node.name, found) == (
        node.name,
        {"inet input": "drop", "inet forward": "drop", "inet output": "accept"},
    )


def test_the_sets_are_those_of_the_fleet(fleet: Fleet, node: Node, seen: Inside) -> None:
    peers = [address for other in fleet.nodes if other != node for address in other.addresses]
    admins = fleet.admin_networks
    wanted = {
        "admin4": {short(str(network)) for network in admins if isinstance(network, IPv4Network)},
        "admin6": {short(str(network)) for network in admins if not isinstance(network, IPv4Network)},
        "peer4": {str(address) for address in peers if isinstance(address, IPv4Address)},
        "peer6": {str(address) for address in peers if not isinstance(address, IPv4Address)},
    }
    assert (node.name, seen.sets) == (node.name, wanted)


def test_nobody_changed_the_rules_behind_the_file(node: Node, seen: Inside) -> None:
    assert (node.name, seen.rules_changed) == (node.name, False)


def short(network: str) -> str:
    """As nftables prints a network of one address."""
    return network.removesuffix("/32").removesuffix("/128")
