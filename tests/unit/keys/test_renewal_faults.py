"""What must not be taken for granted of the nodes while a certificate's key changes."""

from dataclasses import replace

import pytest

from mxfleet.keys.facts import RotationWished
from mxfleet.keys.lifecycle import KeyState
from mxfleet.keys.renewal import behind, renewals
from mxfleet.keys.rotation import Step
from mxfleet.keys.sight import Certificate, NodeSight, Observation
from mxfleet.keys.state import TLS_WISH
from tests.unit.keys.tls_world import HOSTS, MX, NODES, PERIODS, TTL, TlsWorld, key_in

S = KeyState


def settled() -> TlsWorld:
    world = TlsWorld()
    world.settle()
    return world


def renew(world: TlsWorld) -> None:
    world.append(RotationWished(owner=MX, algorithm=TLS_WISH))


def test_the_old_key_stays_while_a_node_that_may_serve_it_cannot_be_asked() -> None:
    world = settled()
    old = key_in(world, S.ACTIVE)
    world.cut = {"mx2"}
    renew(world)
    for _ in range(60):
        world.tend()
        world.pass_time(2)
        assert world.problems() == []
    assert world.serve["mx2"][MX] == old.spki
    assert [key.state for key in world.state.tls(MX) if key.id == old.id] == [S.ACTIVE]
    world.cut.clear()
    world.deploy(NODES)  # by another command: nobody has seen yet that the node has left the key
    world.tend()
    assert [key.state for key in world.state.tls(MX) if key.id == old.id] == [S.DRAINING]
    world.pass_time(TTL)
    world.tend()
    assert old.spki in world.servers[0][MX]


@pytest.mark.parametrize("place", ["serving", "chains"])
def test_a_certificate_that_a_node_would_serve_after_a_restart_is_in_use(place: str) -> None:
    world = settled()
    old = key_in(world, S.ACTIVE)
    renew(world)
    for _ in range(60):
        world.tend()
        if key_in_use(world, old.id) is S.DRAINING:
            break
        world.pass_time(1)
    world.pass_time(10 * TTL)
    first, second = world.nodes()
    nodes = (showing(first, place, ("f", old.spki)), second)
    found = renewals(world.state, Observation(nodes, world.dissent(world.state)), PERIODS, world.now, HOSTS)
    assert [step.state for step in found.steps if isinstance(step, Step) and step.key.id == old.id] == [
        S.DRAINING
    ]
    nodes = (first, second)
    found = renewals(world.state, Observation(nodes, world.dissent(world.state)), PERIODS, world.now, HOSTS)
    assert [step.state for step in found.steps if isinstance(step, Step) and step.key.id == old.id] == [
        S.REVOKED
    ]


def showing(node: NodeSight, place: str, certificate: Certificate) -> NodeSight:
    """The node, which shows this certificate in one place."""
    if place == "serving":
        return replace(node, serving={**node.serving, MX: certificate})
    return replace(node, chains={**node.chains, MX: certificate})


def key_in_use(world: TlsWorld, key: str) -> KeyState:
    return next(k.state for k in world.state.tls(MX) if k.id == key)


def test_a_node_with_an_older_certificate_of_the_same_key_is_behind() -> None:
    world = settled()
    seen = Observation(world.nodes(), world.dissent(world.state))
    assert behind(world.state, seen, HOSTS) == ()
    first, second = seen.nodes
    for place in ("serving", "chains"):
        changed = showing(first, place, ("another", first.serving[MX][1]))
        assert behind(world.state, replace(seen, nodes=(changed, second)), HOSTS) == ("mx1",)
