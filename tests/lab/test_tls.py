"""sslyze, in `world`, against the three ports: no old protocol, no weak cipher, nothing without forward secrecy."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mxfleet.keys.ledger import read_signing
from mxfleet.lab import guests
from mxfleet.lab.trust import fleet_authority
from mxfleet.mxd.tls import CIPHERS
from mxfleet.render.release import MACHINES, PYTHON, archive
from tests.lab.running import ROOT, Lab

LOCK = ROOT / "locks" / "sslyze.txt"
PLACE = "/var/tmp/sslyze"
LAX = "127.0.0.1:4433"
LAX_SERVER = f"""cd {PLACE} && echo $$ >pid && openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out certificate -subj /CN=lax 2>&- &&
exec openssl s_server -accept {LAX} -quiet -key key -cert certificate -cipher ALL:@SECLEVEL=0 -min_protocol TLSv1"""
FLAGS = (
    "certinfo", "sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3", "elliptic_curves", "compression", "reneg",
    "fallback", "heartbleed", "openssl_ccs", "robot", "early_data", "ems",
)  # fmt: skip
OLD = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1")
TLS_1_3 = frozenset({"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"})
CURVES = frozenset({"X25519", "X448", "secp256r1", "secp384r1", "secp521r1"})


class Ciphers(NamedTuple):
    """What a port accepted in one protocol version."""

    suites: frozenset[str]
    key_exchanges: frozenset[str]


def packed() -> Path:
    """The locked sslyze with what it needs, for a guest's Python; kept in the cache."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    kept = archive("", "", os.environ).parents[1] / f"sslyze-{digest}.tar"
    if kept.exists():
        return kept
    with tempfile.TemporaryDirectory() as directory, io.BytesIO() as stream:
        subprocess.run(
            [
                str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--no-deps", "--require-hashes",
                "--python-version", PYTHON, "--python-platform", MACHINES["x86_64"],
                "--target", directory, "-r", str(LOCK),
            ],
            check=True,
        )  # fmt: skip
        with tarfile.open(fileobj=stream, mode="w") as tar:
            tar.add(directory, arcname="packages")
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(stream.getvalue())
    return kept


def listens(lab: Lab) -> bool:
    return LAX in lab.inside("world", "ss -Hltn")


@pytest.fixture(scope="module")
def scans(lab: Lab) -> dict[str, Any]:
    """host:port → sslyze's results, each port at another node, and a server in `world` that is not strict."""
    ports = (25, 465, 587)
    ours = [f"{node.hostname}:{port}" for node, port in zip(lab.fleet.nodes, ports, strict=True)]
    authority = fleet_authority(lab.fleet, read_signing(ROOT / lab.fleet.state_directory).authority_pem)
    lab.inside("world", f"mkdir -p {PLACE} && tar -C {PLACE} -xf -", packed().read_bytes())
    lab.inside("world", f"cat > {PLACE}/authority.pem", authority.encode())
    flags = " ".join(f"--{flag}" for flag in FLAGS)
    command = (
        f"cd {PLACE} && PYTHONPATH=packages python3 -W ignore -m sslyze {flags} --certinfo_ca_file=authority.pem"
        f" --starttls=auto --json_out=told.json {' '.join(ours)} {LAX} >said 2>&1; cat told.json"
    )
    lax = subprocess.Popen(guests.enter("world", ["sh", "-c", LAX_SERVER]), stdin=subprocess.DEVNULL)
    try:
        lab.until("the server that is not strict listens", partial(listens, lab))
        said = guests.run("world", ["sh", "-c", command], timeout=180, check=True).stdout
        told = json.loads(said)
    finally:
        lab.inside("world", f"kill $(cat {PLACE}/pid); rm -rf {PLACE}")
        lax.wait(10)
    found = {}
    for result in told["server_scan_results"]:
        where = result["server_location"]
        assert result["scan_status"] == "COMPLETED", result["connectivity_error_trace"]
        found[f"{where['hostname']}:{where['port']}"] = result["scan_result"]
    assert set(found) == {*ours, LAX}
    return found


@pytest.fixture(scope="module")
def ours(scans: dict[str, Any]) -> dict[str, Any]:
    """The results of our three ports."""
    return {where: scan for where, scan in scans.items() if where != LAX}


def results(scans: dict[str, Any], scan: str) -> dict[str, Any]:
    """host:port → what one scan found; a scan that failed proves nothing."""
    assert {where: one[scan]["status"] for where, one in scans.items()} == dict.fromkeys(scans, "COMPLETED")
    return {where: one[scan]["result"] for where, one in scans.items()}


def ciphers(scans: dict[str, Any], protocol: str) -> dict[str, Ciphers]:
    found = {}
    for where, result in results(scans, f"{protocol}_cipher_suites").items():
        accepted = result["accepted_cipher_suites"]
        suites = frozenset(one["cipher_suite"]["openssl_name"] for one in accepted)
        kinds = frozenset(str(one["ephemeral_key"] and one["ephemeral_key"]["type_name"]) for one in accepted)
        found[where] = Ciphers(suites, kinds)
    return found


@pytest.mark.parametrize("protocol", OLD)
def test_no_protocol_below_1_2_is_spoken(ours: dict[str, Any], protocol: str) -> None:
    supported = {
        where: result["is_tls_version_supported"]
        for where, result in results(ours, f"{protocol}_cipher_suites").items()
    }
    assert supported == dict.fromkeys(ours, False)


def test_tls_1_2_has_only_the_ciphers_of_our_list(ours: dict[str, Any]) -> None:
    wanted = frozenset(name for name in CIPHERS.split(":") if "-ECDSA-" in name)  # the lab's keys are ECDSA
    found = {where: one.suites for where, one in ciphers(ours, "tls_1_2").items()}
    assert found == dict.fromkeys(ours, wanted)


def test_tls_1_3_has_its_three_suites(ours: dict[str, Any]) -> None:
    assert {where: one.suites for where, one in ciphers(ours, "tls_1_3").items()} == dict.fromkeys(
        ours, TLS_1_3
    )


@pytest.mark.parametrize("protocol", ["tls_1_2", "tls_1_3"])
def test_every_key_exchange_is_ephemeral(ours: dict[str, Any], protocol: str) -> None:
    found = {where: one.key_exchanges for where, one in ciphers(ours, protocol).items()}
    assert found == dict.fromkeys(ours, frozenset({"ECDH"}))


def test_a_less_strict_server_is_seen_as_such(scans: dict[str, Any]) -> None:
    """Else the tests above could not fail."""
    lax = {LAX: scans[LAX]}
    assert results(lax, "tls_1_0_cipher_suites")[LAX]["is_tls_version_supported"]
    found = ciphers(lax, "tls_1_2")[LAX]
    assert found.suites - set(CIPHERS.split(":"))
    assert "None" in found.key_exchanges


def test_no_weak_curve_is_taken(ours: dict[str, Any]) -> None:
    found = {
        where: {curve["name"] for curve in result["supported_curves"]}
        for where, result in results(ours, "elliptic_curves").items()
    }
    assert found == dict.fromkeys(ours, CURVES)


@pytest.mark.parametrize(
    ("scan", "finding", "wanted"),
    [
        ("tls_compression", "supports_compression", False),
        ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos", False),
        ("tls_1_3_early_data", "supports_early_data", False),
        ("tls_fallback_scsv", "supports_fallback_scsv", True),
        ("tls_extended_master_secret", "supports_ems_extension", True),
        ("heartbleed", "is_vulnerable_to_heartbleed", False),
        ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection", False),
        ("robot", "robot_result", "NOT_VULNERABLE_RSA_NOT_SUPPORTED"),
    ],
)
def test_no_known_attack_has_a_hold(ours: dict[str, Any], scan: str, finding: str, wanted: object) -> None:
    found = {where: result[finding] for where, result in results(ours, scan).items()}
    assert found == dict.fromkeys(ours, wanted)


def test_the_chain_leads_to_the_authority_under_the_name_asked_for(ours: dict[str, Any]) -> None:
    found = {}
    for where, result in results(ours, "certificate_info").items():
        (deployment,) = result["certificate_deployments"]
        trusted = [one for one in deployment["path_validation_results"] if one["was_validation_successful"]]
        names = {one["trust_store"]["path"].rpartition("/")[2] for one in trusted}
        found[where] = (names, deployment["received_chain_has_valid_order"])
    assert found == dict.fromkeys(ours, ({"authority.pem"}, True))


@pytest.mark.parametrize("port", [25, 465])
def test_a_client_that_can_gets_a_key_exchange_that_outlasts_quantum_computers(lab: Lab, port: int) -> None:
    node = lab.fleet.nodes[0]
    starttls = "-starttls smtp" if port == 25 else ""
    asked = (
        f"openssl s_client -connect {node.address4}:{port} {starttls} -groups X25519MLKEM768 </dev/null 2>&1"
    )
    said = lab.inside("world", f"{asked} || true")
    assert "Negotiated TLS1.3 group: X25519MLKEM768" in said, said
