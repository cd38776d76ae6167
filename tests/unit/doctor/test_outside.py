"""Looking at a server from outside, against a scripted one on loopback."""

import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from mxfleet.doctor.outside import endpoints, extensions, handshake, is_open, replies
from mxfleet.fleet.load import load_file

LAB = load_file(Path(__file__).resolve().parents[3] / "inventories" / "lab.py")


@contextmanager
def server(script: dict[bytes, bytes], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """One connection: greets, answers each line by its first word, turns to TLS after STARTTLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(ConnectionError):
                connection.sendall(b"220-mx.test\r\n220 ready\r\n")
                for line in connection.makefile("rb"):
                    word = line.split()[0]
                    connection.sendall(script.get(word, b"500 what\r\n"))
                    if word == b"STARTTLS" and context:
                        context.wrap_socket(connection, server_side=True).close()
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


EHLO = {
    b"EHLO": b"250-mx.test\r\n250-SIZE 1000\r\n250 STARTTLS\r\n",
    b"STARTTLS": b"220 go\r\n",
    b"RCPT": b"550-no\r\n550 5.1.1 no\r\n",
}


def test_the_last_line_of_each_reply_is_told() -> None:
    with server(EHLO) as port:
        told = replies("127.0.0.1", port, ["EHLO x", "RCPT TO:<a@b>", "NOOP"])
    assert told == ["220 ready", "250 STARTTLS", "550 5.1.1 no", "500 what"]


def test_the_extensions_are_the_keywords_alone() -> None:
    with server(EHLO) as port:
        assert extensions("127.0.0.1", port) == {"SIZE", "STARTTLS"}


def test_a_handshake_after_starttls_gives_the_leaf_s_fingerprint(tmp_path: Path) -> None:
    context, fingerprint = certificate(tmp_path)
    with server(EHLO, context) as port:
        found = handshake("127.0.0.1", port, "mx.test")
    assert (found.fingerprint, found.version) == (fingerprint, "TLSv1.3")


def test_a_server_that_refuses_starttls_is_an_error_with_its_words() -> None:
    with (
        server({**EHLO, b"STARTTLS": b"454 4.7.0 not now\r\n"}) as port,
        pytest.raises(ConnectionError, match="454"),
    ):
        handshake("127.0.0.1", port, None)


def test_a_port_is_open_or_not() -> None:
    with server({}) as port:
        assert is_open("127.0.0.1", port)
    assert not is_open("127.0.0.1", port)


def test_the_endpoints_are_all_addresses_with_the_name_behind_each() -> None:
    found = {endpoint.address: endpoint.name for endpoint in endpoints(LAB)}
    assert found["fd77:77::12"] == "mx2.corp.test"
    assert found["10.77.0.10"] == "mx.corp.test"
    assert len(found) == 8


def certificate(directory: Path) -> tuple[ssl.SSLContext, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mx.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    path = directory / "both.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + made.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, hashlib.sha256(made.public_bytes(Encoding.DER)).hexdigest()
