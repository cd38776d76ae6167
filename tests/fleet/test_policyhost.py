"""The MTA-STS policy, as a sender gets it (RFC 8461 §3.3): from every address, under each domain's policy name."""

import ssl

import pytest

from mxfleet.dns.policy_hosts import fetcher, unserved
from mxfleet.doctor.outside import handshake
from mxfleet.fleet import Fleet, Node
from mxfleet.fleet.signing import Signing
from mxfleet.fleet.transport_policy import policy_hosts


@pytest.fixture(autouse=True)
def with_policy(fleet: Fleet) -> None:
    if not policy_hosts(fleet):
        pytest.skip("the fleet announces no MTA-STS policy")


def test_every_address_serves_the_policy_of_every_domain(fleet: Fleet) -> None:
    domains = [host.removeprefix("mta-sts.") for host in policy_hosts(fleet)]
    assert unserved(fleet, domains) == {}


def test_each_name_has_its_own_certificate_and_an_unknown_one_gets_none(
    fleet: Fleet, signing: Signing, node: Node
) -> None:
    known = {certificate.name: certificate.fingerprint for certificate in signing.certificates}
    for host in policy_hosts(fleet):
        assert handshake(str(node.address4), 443, host).fingerprint == known[host], host
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        handshake(str(node.address4), 443, "www.unknown.test")


def test_a_host_that_serves_nothing_is_seen(fleet: Fleet) -> None:
    """Else the first test could not fail."""
    fetch = fetcher(fleet)
    with pytest.raises((ssl.SSLError, OSError)):
        fetch("mta-sts.unknown.test", fleet.nodes[0].address4)
