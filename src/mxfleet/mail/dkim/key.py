"""Signing keys: RSA of at least 2048 bits (RFC 8301 §3.2) and Ed25519 (RFC 8463), each for one selector."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Literal, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mxfleet.errors import MailError
from mxfleet.mail.address import parse_domain

Algorithm: TypeAlias = Literal["rsa-sha256", "ed25519-sha256"]
PrivateKey: TypeAlias = RSAPrivateKey | Ed25519PrivateKey
PublicKey: TypeAlias = RSAPublicKey | Ed25519PublicKey

MIN_RSA_BITS: Final = 2048


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and where its public half is published: `<selector>._domainkey.<domain>`."""

    domain: str
    selector: str
    private: PrivateKey = field(repr=False)

    @classmethod
    def from_pem(cls, pem: bytes, *, domain: str, selector: str) -> "SigningKey":
        """Read an unencrypted PKCS #8 or PKCS #1 PEM; MailError names the selector, never the key."""
        name = f"{selector}._domainkey.{domain}"
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise MailError(f"DKIM key {name}: not an unencrypted private key in PEM") from error
        if not isinstance(private, RSAPrivateKey | Ed25519PrivateKey):
            raise MailError(f"DKIM key {name}: neither RSA nor Ed25519")
        if isinstance(private, RSAPrivateKey) and private.key_size < MIN_RSA_BITS:
            raise MailError(f"DKIM key {name}: RSA of {private.key_size} bits, fewer than {MIN_RSA_BITS}")
        return cls(parse_domain(domain), parse_domain(selector), private)

    @property
    def algorithm(self) -> Algorithm:
        """The `a=` of its signatures."""
        return "rsa-sha256" if isinstance(self.private, RSAPrivateKey) else "ed25519-sha256"

    @property
    def public(self) -> PublicKey:
        """The half that is published."""
        return self.private.public_key()

    def sign(self, octets: bytes) -> bytes:
        """The signature; about 1 ms for RSA-2048, during which the interpreter lock is free."""
        if isinstance(self.private, RSAPrivateKey):
            return self.private.sign(octets, PKCS1v15(), SHA256())
        return self.private.sign(sha256(octets).digest())  # RFC 8463 §3: the hash is what is signed
