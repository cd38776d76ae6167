"""What a server context really allows, asked of OpenSSL: the list of the source, and nothing beside it."""

import ssl

import pytest

from mxfleet.mxd.settings import CertificateSettings
from mxfleet.mxd.tls import CIPHERS, Certificates
from tests.unit.mxd.conftest import Workshop
from tests.unit.mxd.conftest import workshop as workshop

TLS_1_3 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}


@pytest.fixture
def context(workshop: Workshop) -> ssl.SSLContext:
    chain, key = workshop.certificates["mx.corp.test"]
    settings = CertificateSettings(name="mx.corp.test", chain=str(chain), key=str(key))
    return Certificates([settings]).for_address("192.0.2.1")


def test_the_ciphers_are_those_of_the_list(context: ssl.SSLContext) -> None:
    found = {(cipher["protocol"], cipher["name"]) for cipher in context.get_ciphers()}
    wanted = {("TLSv1.2", name) for name in CIPHERS.split(":")} | {("TLSv1.3", name) for name in TLS_1_3}
    assert found == wanted


def test_each_cipher_is_authenticated_encryption_with_forward_secrecy(context: ssl.SSLContext) -> None:
    for cipher in context.get_ciphers():
        assert cipher["aead"], cipher
        assert cipher["strength_bits"] >= 128, cipher
        assert cipher["kea"] in ("kx-ecdhe", "kx-any"), cipher
        assert cipher["auth"] in ("auth-ecdsa", "auth-rsa", "auth-any"), cipher


def test_the_client_chooses_among_them(context: ssl.SSLContext) -> None:
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE


def test_nothing_older_than_1_2_no_compression_no_renegotiation(context: ssl.SSLContext) -> None:
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.maximum_version == ssl.TLSVersion.MAXIMUM_SUPPORTED
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.verify_mode == ssl.CERT_NONE, "nobody is asked for a certificate"
