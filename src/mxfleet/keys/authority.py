"""A laboratory's certificate authority, and certificates brought from elsewhere; both end as ledger lines.

In production certificates come from outside: `mxfleet tls import` today, ACME with the issue on DNS and keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mxfleet.errors import StateError
from mxfleet.keys.certificates import fingerprint, spki_hash
from mxfleet.keys.facts import AuthorityMade, Issued
from mxfleet.keys.ledger import Writer
from mxfleet.keys.state import State
from mxfleet.keys.vault import Vault

SLACK = timedelta(hours=1)
"""Certificates begin in the past: the clocks of nodes and peers may lie behind ours."""
AUTHORITY_LIFE, SERVER_LIFE, RENEW_BEFORE = timedelta(days=3650), timedelta(days=90), timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority's certificate and its private key, in memory only."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey


def issue_missing(writer: Writer, vault: Vault, names: Sequence[str]) -> list[Issued]:
    """Certificates of the laboratory's authority for the names that lack one or whose own ends soon."""
    due = wanting(writer.state, names, writer.clock())
    if not due:
        return []
    authority = _load_or_make(writer, vault)
    issued = []
    for name in due:
        fact, private_pem = issue(authority, name, writer.clock())
        vault.write(fact.secret, private_pem)
        writer.append(fact)
        issued.append(fact)
    return issued


def wanting(state: State, names: Sequence[str], now: datetime) -> list[str]:
    """The names without a certificate of this authority that lasts for 30 days; imported ones stay; pure."""
    good = {
        fact.name
        for fact in state.certificates
        if fact.not_after - now > RENEW_BEFORE and (fact.issuer != "authority" or state.authority)
    }
    return [name for name in names if name not in good]


def make_authority(fleet: str, now: datetime) -> Authority:
    """A new P-256 authority that may sign server certificates and nothing below itself (path length 0)."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"mxfleet laboratory authority of {fleet}")])
    builder = _builder(name, key, now, AUTHORITY_LIFE).issuer_name(name)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
    return Authority(builder.sign(key, SHA256()), key)


def issue(authority: Authority, name: str, now: datetime) -> tuple[Issued, bytes]:
    """A certificate for one host name with a new P-256 key: the ledger's fact, and the key as PKCS #8 PEM."""
    key = generate_private_key(SECP256R1())
    builder = _builder(x509.Name([]), key, now, SERVER_LIFE).issuer_name(authority.certificate.subject)
    critical = True  # RFC 5280 §4.2.1.6: where the subject is empty, the alternative name says it all
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(sign_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    signer = authority.key.public_key()
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False
    )
    certificate = builder.sign(authority.key, SHA256())
    chain = certificate.public_bytes(Encoding.PEM).decode("ascii")
    label = f"p{now:%Y%m%d}-{spki_hash(certificate)[:6]}"
    fact = Issued(
        name=name, chain=chain, fingerprint=fingerprint(certificate), spki=spki_hash(certificate),
        not_after=certificate.not_valid_after_utc, secret=f"tls/{name}/{label}", issuer="authority",
    )  # fmt: skip
    return fact, private_pem(key)


def private_pem(key: EllipticCurvePrivateKey) -> bytes:
    """PKCS #8 PEM without a passphrase: only ever for the vault and, as a secret, for a node."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _load_or_make(writer: Writer, vault: Vault) -> Authority:
    fact = writer.state.authority
    if fact is not None:
        key = load_pem_private_key(vault.read(fact.secret), password=None)
        if not isinstance(key, EllipticCurvePrivateKey):
            raise StateError(f"the vault's {fact.secret} is not a P-256 key")
        return Authority(x509.load_pem_x509_certificate(fact.certificate.encode()), key)
    authority = make_authority(writer.state.fleet, writer.clock())
    secret = f"tls/authority/{spki_hash(authority.certificate)[:6]}"
    vault.write(secret, private_pem(authority.key))
    writer.append(
        AuthorityMade(
            certificate=authority.certificate.public_bytes(Encoding.PEM).decode("ascii"),
            fingerprint=fingerprint(authority.certificate),
            not_after=authority.certificate.not_valid_after_utc,
            secret=secret,
        )
    )
    return authority


def _builder(
    subject: x509.Name, key: EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SLACK)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )
