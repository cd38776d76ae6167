"""Certificates as values: fingerprints, and what makes one fit to be served under a name."""

import hashlib
from datetime import datetime
from functools import lru_cache
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from mxfleet.errors import StateError
from mxfleet.keys.facts import Issued

ServerKey = RSAPrivateKey | EllipticCurvePrivateKey


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate (DER), in hex."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def spki_hash(certificate: x509.Certificate) -> str:
    """SHA-256 of the SubjectPublicKeyInfo, in hex: what a TLSA record `3 1 1` holds (RFC 7671 §5.1)."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(key).hexdigest()


def imported(name: str, chain_pem: bytes, key_pem: bytes, now: datetime) -> tuple[Issued, bytes]:
    """The ledger's fact for a certificate made elsewhere, and its key as PKCS #8 PEM for the vault.

    Raises StateError where chain, key and name do not fit together or the certificate is not valid now.
    """
    chain, key = _chain(chain_pem), _key(key_pem)
    leaf = chain[0]
    _refuse_unfit(name, leaf, key, now)
    _refuse_disorder(chain)
    label = f"i{now:%Y%m%d}-{spki_hash(leaf)[:6]}"
    fact = Issued(
        name=name,
        chain="".join(c.public_bytes(Encoding.PEM).decode("ascii") for c in chain),
        fingerprint=fingerprint(leaf),
        spki=spki_hash(leaf),
        not_after=leaf.not_valid_after_utc,
        secret=f"tls/{name}/{label}",
        issuer="import",
    )
    return fact, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def lifetime(fact: Issued) -> tuple[datetime, datetime]:
    """From when to when the certificate is valid."""
    return _lifetime(fact.chain)


@lru_cache(4096)
def _lifetime(chain: str) -> tuple[datetime, datetime]:
    leaf = x509.load_pem_x509_certificate(chain.encode())
    return leaf.not_valid_before_utc, leaf.not_valid_after_utc


def obtained(name: str, chain_pem: str, key_pem: bytes, secret: str, now: datetime) -> Issued:
    """The ledger's fact for a certificate that an authority gave for a key of ours; raises StateError where it is unfit."""
    chain = _chain(chain_pem.encode())
    _refuse_unfit(name, chain[0], _key(key_pem), now)
    return Issued(
        name=name, chain=chain_pem, fingerprint=fingerprint(chain[0]), spki=spki_hash(chain[0]),
        not_after=chain[0].not_valid_after_utc, secret=secret, issuer="acme",
    )  # fmt: skip


def names_of(certificate: x509.Certificate) -> list[str]:
    """The DNS names of the certificate, in lower case."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)]


def covers(pattern: str, name: str) -> bool:
    """Whether a certificate's name stands for a host name; `*` is one whole left-most label (RFC 6125 §6.4.3)."""
    if pattern.startswith("*."):
        return name.partition(".")[2] == pattern[2:]
    return pattern == name


def _chain(content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise StateError(
            f"the chain holds no PEM certificate: {error}", hint="give fullchain.pem: leaf first"
        ) from error


def _key(content: bytes) -> ServerKey:
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:  # TypeError: it has a passphrase
        raise StateError(
            "the key is not a PEM private key without passphrase", hint="openssl pkey -in FILE -out FILE2"
        ) from error
    if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey):
        raise StateError("the key is neither RSA nor ECDSA, which mail servers expect")
    return key


def _refuse_unfit(name: str, leaf: x509.Certificate, key: ServerKey, now: datetime) -> None:
    if leaf.public_key() != key.public_key():
        raise StateError(
            f"key and certificate for {name} do not belong together", hint="is the leaf first in the chain?"
        )
    if not any(covers(pattern, name) for pattern in names_of(leaf)):
        raise StateError(f"the certificate is for {', '.join(names_of(leaf)) or 'no name'}, not for {name}")
    if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
        raise StateError(
            f"the certificate for {name} is valid from {leaf.not_valid_before_utc:%Y-%m-%d} "
            f"to {leaf.not_valid_after_utc:%Y-%m-%d}, not now"
        )


def _refuse_disorder(chain: list[x509.Certificate]) -> None:
    for place, (below, above) in enumerate(pairwise(chain), 1):
        try:
            below.verify_directly_issued_by(above)
        except Exception as error:  # ValueError, TypeError or InvalidSignature: all mean the same here
            raise StateError(
                f"certificate {place} of the chain was not issued by the next one",
                hint="give the leaf first, then each issuer",
            ) from error
