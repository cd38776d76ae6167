"""What runs on each node, and on which ports it listens."""

from mxfleet.doctor.inside import Inside
from mxfleet.fleet import Fleet, Node
from mxfleet.fleet.transport_policy import policy_hosts

BOTH = frozenset({4, 6})
FAMILIES = {"*": BOTH, "0.0.0.0": frozenset({4}), "::": frozenset({6})}


def test_every_service_runs(node: Node, seen: Inside) -> None:
    found = {f"{node.name}: {name}": unit.active for name, unit in seen.units.items()}
    assert found == dict.fromkeys(found, "active")


def test_every_service_starts_with_the_machine(node: Node, seen: Inside) -> None:
    found = {f"{node.name}: {name}": unit.enabled for name, unit in seen.units.items()}
    assert found == dict.fromkeys(found, "enabled")


def test_no_service_had_to_be_started_again(node: Node, seen: Inside) -> None:
    assert {f"{node.name}: {name}": unit.restarts for name, unit in seen.units.items() if unit.restarts} == {}


def test_exactly_the_ports_of_the_fleet_are_open_to_the_network(
    fleet: Fleet, node: Node, seen: Inside
) -> None:
    wanted = {fleet.ssh.port, 25, 8025, *((465, 587) if fleet.accounts else ())}
    wanted |= {443} if policy_hosts(fleet) else set()
    found: dict[int, frozenset[int]] = {}
    for address, port in seen.sockets:
        if families := FAMILIES.get(address):
            found[port] = found.get(port, frozenset()) | families
    assert (node.name, found) == (node.name, dict.fromkeys(wanted, BOTH))


def test_what_listens_on_an_address_listens_on_loopback_only(node: Node, seen: Inside) -> None:
    bound = {(address, port) for address, port in seen.sockets if address not in FAMILIES}
    astray = {(address, port) for address, port in bound if not address.startswith(("127.", "::1"))}
    assert (node.name, astray) == (node.name, set())


def test_the_resolver_answers_this_host(node: Node, seen: Inside) -> None:
    assert (node.name, {("127.0.0.1", 53), ("::1", 53)} - seen.sockets) == (node.name, set())
