"""What a host says of its signing keys, so that a rotation can go by it."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mxfleet.mail.dkim.key import SigningKey
from mxfleet.mxd.command import main
from mxfleet.mxd.key_report import installed_keys, loaded_keys
from tests.unit.mxd.conftest import Workshop

SETTINGS = """
[node]
name = "mx1"
hostname = "mx1.corp.test"
release = "1"
address4 = "10.77.0.11"
[service]
hostname = "mx.corp.test"
[paths]
runtime = "{directory}"
[[domain]]
name = "corp.test"
recipients = ["alice"]
route = {{ kind = "lmtp", host = "office.corp.test", port = 24 }}
[[dkim]]
domain = "corp.test"
selector = "r1"
algorithm = "rsa"
key = "{directory}/dkim/corp.test/r1.pem"
"""


def fingerprint(path: Path) -> str:
    public = load_pem_private_key(path.read_bytes(), None).public_key()
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


@pytest.fixture
def host(tmp_path: Path, workshop: Workshop) -> Path:
    keys = tmp_path / "dkim" / "corp.test"
    keys.mkdir(parents=True)
    shutil.copy(workshop.rsa_key, keys / "r1.pem")
    shutil.copy(workshop.ed25519_key, keys / "e2.pem")
    (tmp_path / "mxd.toml").write_text(SETTINGS.format(directory=tmp_path))
    return tmp_path


def test_keys_that_lie_there_are_told_by_fingerprint_whether_they_are_used_or_not(
    host: Path, workshop: Workshop
) -> None:
    assert installed_keys(host / "dkim") == [
        {"domain": "corp.test", "selector": "e2", "spki": fingerprint(workshop.ed25519_key)},
        {"domain": "corp.test", "selector": "r1", "spki": fingerprint(workshop.rsa_key)},
    ]


def test_a_file_that_is_no_key_has_no_fingerprint(host: Path) -> None:
    (host / "dkim" / "corp.test" / "e2.pem").write_text("not a key")
    assert installed_keys(host / "dkim")[0] == {"domain": "corp.test", "selector": "e2", "spki": ""}


def test_what_a_process_has_in_memory_has_the_same_fingerprint(workshop: Workshop) -> None:
    key = SigningKey.from_pem(workshop.rsa_key.read_bytes(), domain="corp.test", selector="r1")
    assert loaded_keys([[key]])[0]["spki"] == fingerprint(workshop.rsa_key)


def test_a_service_that_is_down_counts_as_signing_with_what_it_would_load(
    host: Path, workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--settings", str(host / "mxd.toml"), "signing"]) == 0
    text = capsys.readouterr().out
    said = json.loads(text)
    assert said["running"] is False
    assert said["signing"] == [
        {"domain": "corp.test", "selector": "r1", "spki": fingerprint(workshop.rsa_key)}
    ]
    assert "PRIVATE" not in text
