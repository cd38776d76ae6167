"""Key records, the TXT text at `<selector>._domainkey.<domain>` (RFC 6376 §3.6.1, RFC 8463 §4)."""

from base64 import b64decode, b64encode
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from mxfleet.errors import MailError
from mxfleet.mail.dkim.key import PublicKey
from mxfleet.mail.dkim.tags import parse_tags, without_folds


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key record: kind (`rsa`, `ed25519`, …), key octets (b"" where revoked), hashes ((), where any), flags."""

    kind: str
    key: bytes
    hashes: tuple[str, ...] = ()
    services: tuple[str, ...] = ("*",)
    flags: tuple[str, ...] = ()

    @property
    def revoked(self) -> bool:
        """Whether the key was withdrawn: an empty `p=`."""
        return not self.key

    @property
    def testing(self) -> bool:
        """Whether the domain says that it is only trying (`t=y`)."""
        return "y" in self.flags

    def public_key(self) -> PublicKey:
        """The key itself; MailError where the octets are no key of that kind."""
        try:
            if self.kind == "ed25519":
                return Ed25519PublicKey.from_public_bytes(self.key)
            key = load_der_public_key(self.key)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise MailError(f"key record: p= is no {self.kind} key") from error
        if self.kind == "rsa" and isinstance(key, RSAPublicKey):
            return key
        raise MailError(f"key record: p= is no {self.kind} key")


def record_text(public: PublicKey) -> str:
    """The text to publish: RSA as SubjectPublicKeyInfo, Ed25519 as its 32 octets."""
    if isinstance(public, RSAPublicKey):
        kind, key = "rsa", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        kind, key = "ed25519", public.public_bytes_raw()
    return f"v=DKIM1; k={kind}; h=sha256; p={b64encode(key).decode('ascii')}"


def revoked_text(kind: str) -> str:
    """The text that says that a key of this kind is no longer to be trusted."""
    return f"v=DKIM1; k={kind}; h=sha256; p="


def parse_record(text: str) -> KeyRecord:
    """Read a key record; MailError where it is none. Unknown tags are ignored, as the RFC asks."""
    tags = parse_tags(text)
    if next(iter(tags)) != "v" and "v" in tags:
        raise MailError("key record: v= is not the first tag")
    if tags.get("v", "DKIM1") != "DKIM1":
        raise MailError(f"key record: version {tags['v'][:20]!r} is not DKIM1")
    if "p" not in tags:
        raise MailError("key record: p= is missing")
    try:
        key = b64decode(without_folds(tags["p"]), validate=True)
    except ValueError as error:
        raise MailError("key record: p= is not base64") from error
    return KeyRecord(
        kind=tags.get("k", "rsa"),
        key=key,
        hashes=_words(tags.get("h", "")),
        services=_words(tags.get("s", "*")) or ("*",),
        flags=_words(tags.get("t", "")),
    )


def _words(value: str) -> tuple[str, ...]:
    return tuple(word for part in value.split(":") if (word := part.strip(" \t\r\n")))
