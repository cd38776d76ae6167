"""The lab's secrets: minted once, kept, readable by nobody else."""

import json
import stat
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from mxfleet.lab import credentials
from mxfleet.lab.credentials import Credentials
from mxfleet.lab.plan import Plan
from tests.unit.lab.conftest import NOW


def test_a_lab_that_is_mended_keeps_its_secrets(plan: Plan, tmp_path: Path) -> None:
    first = credentials.load_or_make(plan, tmp_path, NOW)
    credentials.publish(plan, first, tmp_path)
    assert credentials.load_or_make(plan, tmp_path, NOW) == first


def test_no_secret_is_readable_by_others(plan: Plan, tmp_path: Path) -> None:
    credentials.publish(plan, credentials.load_or_make(plan, tmp_path, NOW), tmp_path)
    public = {".pub", ".pem"}
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.suffix not in public and path.name not in ("known_hosts", "ssh_config"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_the_published_file_has_users_and_the_update_key(plan: Plan, tmp_path: Path) -> None:
    secret = credentials.load_or_make(plan, tmp_path, NOW)
    credentials.publish(plan, secret, tmp_path)
    shown = json.loads((tmp_path / "credentials.json").read_text())
    assert {"alice@corp.test", "bob@corp.test", "carol@peer.test"} <= shown["users"].keys()
    assert len(set(shown["users"].values())) == len(shown["users"])
    assert shown["tsig"] == {"name": "mxfleet.", "algorithm": "hmac-sha256", "secret": secret.tsig}
    assert (tmp_path / "tsig.secret").read_text() == secret.tsig


def test_server_certificates_are_signed_by_the_lab_s_authority(secret: Credentials) -> None:
    authority = x509.load_pem_x509_certificate(secret.authority.encode())
    for guest, host in (("world", "mx.peer.test"), ("office", "office.corp.test"), ("acme", "acme.test")):
        certificate = x509.load_pem_x509_certificate(secret.certificates[guest].chain.encode())
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName)[0] == host
        assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
