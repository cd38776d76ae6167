"""What every node has, signs with and shows: mxd says it of itself, nginx is asked by a handshake."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from cryptography import x509

from mxfleet.fleet import Fleet, Node
from mxfleet.fleet.transport_policy import policy_hosts
from mxfleet.keys.certificates import fingerprint, lifetime, spki_hash
from mxfleet.keys.sight import Certificate, NodeSight, parse_node
from mxfleet.keys.state import State

REPORT = "/opt/mxfleet/current/venv/bin/mxd signing"
NEWEST = 4
"""So many policy hosts are asked for on each node, however many there are: a reload of nginx takes in all or none."""
TRIES, PAUSE = 3, 0.5
"""nginx has new processes a moment after its reload has ended."""

Shown = Callable[[str, str], Certificate | None]
"""From an address and a host name to what is shown there by HTTPS; None where nobody answers."""


def look_at_nodes(fleet: Fleet, state: State) -> tuple[NodeSight, ...]:
    """All nodes at once; one that does not answer says why."""
    from mxfleet.cli.status import ask_by_ssh

    ask, names = ask_by_ssh(fleet), newest(fleet, state)

    def look(node: Node) -> NodeSight:
        output, problem = ask(node, REPORT)
        sight = NodeSight(node.name, problem=problem) if problem else parse_node(node.name, output)
        return sight if sight.problem else with_policies(sight, str(node.address4), names)

    with ThreadPoolExecutor(max(1, len(fleet.nodes))) as pool:
        return tuple(pool.map(look, fleet.nodes))


def newest(fleet: Fleet, state: State) -> dict[str, Certificate]:
    """The policy hosts whose certificates were had last, and what nginx is to show under each."""
    facts = [fact for fact in map(state.served, policy_hosts(fleet)) if fact]
    facts.sort(key=lambda fact: lifetime(fact)[0], reverse=True)
    return {fact.name: (fact.fingerprint, fact.spki) for fact in facts[:NEWEST]}


def handshake(address: str, name: str) -> Certificate | None:
    """By HTTPS, as a sender that fetches the policy."""
    from mxfleet.doctor.outside import handshake

    try:
        leaf = x509.load_der_x509_certificate(handshake(address, 443, name).certificate)
    except (OSError, ValueError):
        return None
    return fingerprint(leaf), spki_hash(leaf)


def with_policies(
    sight: NodeSight,
    address: str,
    names: Mapping[str, Certificate],
    shown: Shown = handshake,
    sleep: Callable[[float], None] = time.sleep,
) -> NodeSight:
    """The sight, and what the node's nginx shows under these names; one that does not answer shows nothing, as with mxd."""
    found: dict[str, Certificate] = {}
    for name, wanted in names.items():
        for _ in range(TRIES):
            certificate = shown(address, name)
            if certificate in (wanted, None):
                break
            sleep(PAUSE)
        if certificate is None:
            break
        found[name] = certificate
    return replace(sight, serving={**sight.serving, **found})
