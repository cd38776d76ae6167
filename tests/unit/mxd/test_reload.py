"""New certificates and DKIM keys are taken in while sessions go on; anything else needs a restart, and says so."""

import shutil
import smtplib
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.unit.mxd.conftest import Service, Workshop, write_certificate, write_key


@pytest.fixture
def renewable(service: Service, workshop: Workshop, tmp_path: Path) -> Service:
    """A running service whose certificate files are its own, to be overwritten."""
    for entry in service.settings["certificate"]:
        for kind in ("chain", "key"):
            entry[kind] = str(shutil.copy(entry[kind], tmp_path / f"{entry['name']}.{kind}"))
    service.settings["service"]["workers"] = 2
    service.start()
    return service


def shown(service: Service) -> bytes:
    """The certificate that a new client is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", service.ports["smtp"], timeout=10) as client:
        client.starttls(context=context)
        assert isinstance(client.sock, ssl.SSLSocket)
        return client.sock.getpeercert(binary_form=True) or b""


def renew(service: Service, directory: Path) -> bytes:
    entry = service.settings["certificate"][0]
    chain, key = write_certificate(directory, "renewed")
    shutil.copy(chain, entry["chain"])
    shutil.copy(key, entry["key"])
    return ssl.PEM_cert_to_DER_cert(chain.read_text())


def reload(service: Service) -> Any:
    assert service.process
    return service.mxd("reload", "--pid", str(service.process.pid))


def test_every_new_handshake_has_the_new_certificate_and_an_open_session_goes_on(
    renewable: Service, tmp_path: Path
) -> None:
    said = renewable.json("signing")["serving"]
    assert [entry["name"] for entry in said] == ["mx.corp.test", "submit.corp.test"]
    with smtplib.SMTP("127.0.0.1", renewable.ports["smtp"], timeout=10) as early:
        early.ehlo("client.test")
        before, children = shown(renewable), renewable.children()
        new = renew(renewable, tmp_path)
        done = reload(renewable)
        assert done.returncode == 0, done.stderr
        assert new != before
        assert {shown(renewable) for _ in range(6)} == {new}  # whichever worker answers
        assert early.noop() == (250, b"2.0.0 OK")
        assert renewable.children() == children
    assert renewable.mxd("digest").stdout == (tmp_path / "run" / "digest").read_text()
    assert renewable.json("signing")["serving"][0]["fingerprint"] != said[0]["fingerprint"]
    for pid in children:  # who takes their place has the new certificate too
        renewable.kill(pid)
    renewable.wait(lambda: len(renewable.log("a process died")) == len(children))
    assert {shown(renewable) for _ in range(4)} == {new}


def test_new_dkim_keys_are_taken_in_and_what_cannot_be_leaves_the_service_as_it_was(
    renewable: Service, tmp_path: Path
) -> None:
    key = write_key(tmp_path / "e2.pem", ed25519.Ed25519PrivateKey.generate())
    renewable.settings["dkim"][1] |= {"selector": "e2", "key": str(key)}
    renewable.write()
    assert reload(renewable).returncode == 0
    assert [key["selector"] for key in renewable.json("signing")["signing"]] == ["r1", "e2"]

    before, digest = shown(renewable), (tmp_path / "run" / "digest").read_text()
    renewable.settings["service"]["recipients"] = 7
    renewable.write()
    assert "— systemctl restart mxd" in reload(renewable).stderr
    del renewable.settings["service"]["recipients"]
    renewable.write()
    accounts = tmp_path / "accounts.toml"
    listed = accounts.read_text()
    accounts.write_text("# nobody\n")
    assert "— systemctl restart mxd" in reload(renewable).stderr
    accounts.write_text(listed)
    Path(renewable.settings["certificate"][0]["chain"]).write_text("no certificate")
    assert "not a certificate chain in PEM" in reload(renewable).stderr
    assert (tmp_path / "run" / "digest").read_text() == digest
    assert shown(renewable) == before
