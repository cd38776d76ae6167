"""The lab's certificate authority for the machines that are not the fleet's: `world` and `office`."""

import datetime
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

LIFETIME = datetime.timedelta(days=365)
SKEW = datetime.timedelta(hours=1)


def new_key() -> str:
    """An ECDSA P-256 key as PKCS #8 PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def root_certificate(key_pem: str, now: datetime.datetime) -> str:
    """The authority's own certificate."""
    name = _name("mxfleet lab: the Internet's authority")
    key = _key(key_pem)
    builder = _builder(name, name, key, now).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    return _signed(builder, key)


def certificate(
    host: str,
    key_pem: str,
    root_pem: str,
    root_key_pem: str,
    now: datetime.datetime,
    also: tuple[str, ...] = (),
) -> str:
    """A server certificate for a host name and others (RFC 6125: the names stand in subjectAltName)."""
    issuer = x509.load_pem_x509_certificate(root_pem.encode()).subject
    builder = _builder(_name(host), issuer, _key(key_pem), now).add_extension(
        x509.SubjectAlternativeName([x509.DNSName(name) for name in (host, *also)]), critical=False
    )
    return _signed(builder, _key(root_key_pem))


def tlsa(key_pem: str) -> str:
    """The TLSA record's text, 3 1 1: the server's own key, SHA-256 (RFC 7672 §3.1.1)."""
    public = _key(key_pem).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"3 1 1 {hashlib.sha256(public).hexdigest()}"


def _key(pem: str) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the lab's authority uses ECDSA keys")
    return key


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LIFETIME)
    )


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> str:
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
