"""Which certificate is served to whom, and over which protocol versions."""

import ssl

import pytest

from mxfleet.doctor.outside import endpoints, handshake, trusting
from mxfleet.fleet import Fleet, Node
from mxfleet.fleet.signing import Signing

OLD = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
NEW = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def ports(fleet: Fleet) -> tuple[int, ...]:
    return (25, 465, 587) if fleet.accounts else (25,)


def fingerprints(signing: Signing) -> dict[str, str]:
    return {certificate.name: certificate.fingerprint for certificate in signing.certificates}


def test_without_sni_the_address_chooses_the_certificate(fleet: Fleet, signing: Signing) -> None:
    known = fingerprints(signing)
    found, wanted = {}, {}
    for endpoint in endpoints(fleet):
        for port in ports(fleet):
            where = f"{endpoint.owner} {endpoint.address}:{port}"
            wanted[where] = known[endpoint.name]
            found[where] = served(endpoint.address, port, None)
    assert found == wanted


def test_sni_chooses_the_certificate_at_every_address(fleet: Fleet, signing: Signing) -> None:
    known = fingerprints(signing)
    names = [fleet.mx_hostname] + ([fleet.submission_hostname] if fleet.submission_hostname else [])
    found, wanted = {}, {}
    for endpoint in endpoints(fleet):
        for name in names:
            for port in ports(fleet):
                where = f"{endpoint.owner} {endpoint.address}:{port} asked for {name}"
                wanted[where] = known[name]
                found[where] = served(endpoint.address, port, name)
    assert found == wanted


def test_a_node_answers_to_its_own_name(fleet: Fleet, signing: Signing, node: Node) -> None:
    found = {port: served(str(node.address4), port, node.hostname) for port in ports(fleet)}
    assert (node.name, found) == (
        node.name,
        dict.fromkeys(ports(fleet), fingerprints(signing)[node.hostname]),
    )


def test_only_tls_1_2_and_later_are_spoken(fleet: Fleet, node: Node) -> None:
    found = {
        f"{port} {version.name}": spoken(str(node.address4), port, version)
        for port in ports(fleet)
        for version in (*OLD, *NEW)
    }
    wanted = {f"{port} {version.name}": version in NEW for port in ports(fleet) for version in (*OLD, *NEW)}
    assert (node.name, found) == (node.name, wanted)


@pytest.mark.parametrize("version", OLD, ids=lambda version: version.name)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_client_of_these_tests_does_speak_what_the_nodes_must_refuse(version: ssl.TLSVersion) -> None:
    """Else the test above could not fail."""
    client, server = trusting(version), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.set_ciphers("ALL:aNULL:@SECLEVEL=0")
    server.minimum_version = server.maximum_version = version
    client.set_ciphers("ALL:aNULL:@SECLEVEL=0")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_side=False),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            step(end)
    assert {end.version() for end in ends} == {version.name.replace("_", ".")}


def step(end: ssl.SSLObject) -> None:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return


def served(address: str, port: int, name: str | None) -> str:
    try:
        return handshake(address, port, name).fingerprint
    except OSError as error:
        return f"{type(error).__name__}: {error}"


def spoken(address: str, port: int, version: ssl.TLSVersion) -> bool:
    try:
        handshake(address, port, None, trusting(version))
    except ssl.SSLError:
        return False
    return True
