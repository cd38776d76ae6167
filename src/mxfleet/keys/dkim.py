"""DKIM keys: minted here, sealed in the vault, named so that a selector can never mean another key."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mxfleet.keys.facts import Minted
from mxfleet.keys.ledger import Writer
from mxfleet.keys.lifecycle import KeyState, Material
from mxfleet.keys.state import ALGORITHMS, State
from mxfleet.keys.vault import Vault

RSA_BITS = 2048  # RFC 8301 §3.2: at least 1024, should be 2048; more does not fit the answers of old servers
GONE = frozenset({KeyState.DRAINING, KeyState.COMPROMISED, KeyState.REVOKED, KeyState.REMOVED})


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key pair just made: the private half as PKCS #8 PEM, and what may be known of the public half."""

    algorithm: str
    private_pem: bytes
    public: str
    spki: str


def mint(algorithm: str) -> NewKey:
    """A new key pair, `rsa` (2048 bits) or `ed25519`."""
    private: RSAPrivateKey | Ed25519PrivateKey
    if algorithm == "rsa":
        private = generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    else:
        private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return NewKey(algorithm, pem, _record_public(private), hashlib.sha256(spki).hexdigest())


def selector(key: NewKey, day: datetime) -> str:
    """`r20261124-7f3c9a`: algorithm, date (UTC) and the first six hex digits of the key's SPKI SHA-256."""
    return f"{key.algorithm[0]}{day:%Y%m%d}-{key.spki[:6]}"


def record_text(algorithm: str, public: str) -> bytes:
    """The DKIM record (RFC 6376 §3.6.1): no `s=email` (RFC 8460 §3 signs reports too), never `t=y`."""
    return f"v=DKIM1; k={algorithm}; h=sha256; p={public}".encode("ascii")


REVOKED_TEXT = b"v=DKIM1; p="
"""RFC 6376 §3.6.1: an empty `p=` says that the key was revoked."""


def wanting(state: State, domains: tuple[str, ...]) -> list[tuple[str, str]]:
    """The (domain, algorithm) pairs that have no key which signs or will; pure."""
    have = {(key.owner, key.algorithm) for key in state.dkim() if key.state not in GONE}
    return [(d, algorithm) for d in domains for algorithm in ALGORITHMS if (d, algorithm) not in have]


def mint_missing(writer: Writer, vault: Vault, domains: tuple[str, ...]) -> list[Minted]:
    """Mint what `wanting` names: the private half into the vault, then the line into the ledger.

    In this order because a sealed key that nothing names is harmless, while a line without its key is not.
    """
    minted = []
    for domain, algorithm in wanting(writer.state, domains):
        minted.append(mint_sealed(vault, domain, algorithm, writer.clock()))
        writer.append(minted[-1])
    return minted


def mint_sealed(vault: Vault, domain: str, algorithm: str, now: datetime) -> Minted:
    """A new key whose private half is in the vault; the fact that the ledger is to name it with."""
    key = mint(algorithm)
    label = selector(key, now)
    vault.write(f"{Material.DKIM}/{domain}/{label}", key.private_pem)
    return Minted(
        material=Material.DKIM, owner=domain, label=label,
        algorithm=algorithm, public=key.public, spki=key.spki,
    )  # fmt: skip


def _record_public(private: RSAPrivateKey | Ed25519PrivateKey) -> str:
    if isinstance(private, Ed25519PrivateKey):  # RFC 8463 §4: the raw 32 octets, no SPKI around them
        octets = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    else:  # RFC 6376 §3.6.1: SubjectPublicKeyInfo
        octets = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(octets).decode("ascii")
