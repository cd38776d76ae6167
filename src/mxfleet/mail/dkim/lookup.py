"""Public keys for verifying: asked for, read strictly, kept by their record's text."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from mxfleet.errors import MailError
from mxfleet.mail.dkim.key import PublicKey
from mxfleet.mail.dkim.record import KeyRecord, parse_record
from mxfleet.mail.questions import Questions, ask_texts

MIN_RSA_BITS: Final = 1024  # RFC 8301 §3.2: verifiers must not accept less
MAX_RSA_BITS: Final = 8192  # and need not do more than 4096; beyond this one message costs milliseconds
MAX_EXPONENT: Final = 1 << 33  # an exponent as long as the modulus makes a verification cost a signature
MAX_RECORD: Final = 4096  # octets of a key record
KEPT: Final = 1024  # octets of a key record up to which its key is kept; RSA of 4096 bits takes 800
KEYS_KEPT: Final = 2048

_PADDING: Final = PKCS1v15()
_HASH: Final = SHA256()


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A key record and the key in it; `weakness` says why we do not trust it, "" where we do."""

    record: KeyRecord
    key: PublicKey
    weakness: str
    is_rsa: bool  # to ask the key itself, an abstract class, takes microseconds

    def verifies(self, signature: bytes, octets: bytes) -> bool:
        """Whether the signature is this key's over `octets`; Ed25519 signs their hash (RFC 8463 §3)."""
        try:
            if self.is_rsa:
                cast("RSAPublicKey", self.key).verify(signature, octets, _PADDING, _HASH)
            else:
                cast("Ed25519PublicKey", self.key).verify(signature, sha256(octets).digest())
        except InvalidSignature:
            return False
        return True


def fetch_key(name: str) -> Questions[VerifyingKey]:
    """The key at `<selector>._domainkey.<domain>`; MailError where there is none, Unanswered for now."""
    texts = yield from ask_texts(name)
    if not texts:
        raise MailError(f"no key at {name}")
    if len(texts) > 1:  # RFC 6376 §3.6.2.2 leaves it open; to choose would make the verdict a matter of luck
        raise MailError(f"{len(texts)} records at {name}, there must be one")
    return read_key(texts[0])


def read_key(text: bytes) -> VerifyingKey:
    """The key that a record's text holds (RFC 6376 §3.6.1); MailError where it holds none."""
    if len(text) > MAX_RECORD:
        raise MailError(f"key record: {len(text)} octets, more than {MAX_RECORD}")
    return read_kept_key(text) if len(text) <= KEPT else _read_key(text)


def _read_key(text: bytes) -> VerifyingKey:
    record = parse_record(text.decode("utf-8", "replace"))
    if record.revoked:
        raise MailError("key record: the key was revoked")
    key = record.public_key()
    return VerifyingKey(record, key, _weakness(key), isinstance(key, RSAPublicKey))


read_kept_key = lru_cache(maxsize=KEYS_KEPT)(_read_key)


def misfit(record: KeyRecord, algorithm: str, identity_domain: str, domain: str) -> str:
    """Why a key record is not for a signature of this algorithm (RFC 6376 §6.1.2), "" where it is."""
    kind, _, hash_name = algorithm.partition("-")
    if record.kind != kind:
        return f"the key is for {record.kind[:20]}, the signature is {algorithm}"
    if record.hashes and hash_name not in record.hashes:
        return f"the key is not for {hash_name}"
    if not {"*", "email"}.intersection(record.services):
        return "the key is not for e-mail"
    if "s" in record.flags and identity_domain != domain:
        return "the key is not for sub-domains (t=s)"
    return ""


def _weakness(key: PublicKey) -> str:
    if not isinstance(key, RSAPublicKey):
        return ""
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        return f"RSA key of {key.key_size} bits, not {MIN_RSA_BITS} to {MAX_RSA_BITS} (RFC 8301 §3.2)"
    return "RSA key with an excessive exponent" if key.public_numbers().e > MAX_EXPONENT else ""
