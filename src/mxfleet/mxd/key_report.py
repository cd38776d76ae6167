"""Which keys this host has and uses, by the SHA-256 of their public halves: what rotation and renewal go by."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate

from mxfleet.errors import MxfleetError
from mxfleet.mail.dkim.key import SigningKey
from mxfleet.mxd.settings import DkimSettings
from mxfleet.mxd.tls import Certificates

Report = list[dict[str, str]]
"""`domain`, `selector` and `spki`: SHA-256 of the SubjectPublicKeyInfo, in hex."""


def loaded_keys(keys: Iterable[Iterable[SigningKey]]) -> Report:
    """Of the keys that a process has in memory, by domain."""
    return [_entry(key) for of_domain in keys for key in of_domain]


def named_keys(settings: Iterable[DkimSettings]) -> Report:
    """Of the files that the settings name; a file that is no key has an empty fingerprint."""
    return [_read(Path(key.key), key.domain, key.selector) for key in settings]


def installed_keys(directory: Path) -> Report:
    """Of the files `<domain>/<selector>.pem`, whether the settings name them or not."""
    return [_read(path, path.parent.name, path.stem) for path in sorted(directory.glob("*/*.pem"))]


def loaded_certificates(certificates: Certificates) -> Report:
    """What a process shows under each name: `name`, and SHA-256 in hex of certificate and SubjectPublicKeyInfo."""
    return [_certificate(name, chain) for name, chain in certificates.chains.items()]


def installed_certificates(directory: Path) -> Report:
    """Of the files `<name>/fullchain.pem`; one that is none has empty fingerprints."""
    return [
        _certificate(path.parent.name, path.read_bytes())
        for path in sorted(directory.glob("*/fullchain.pem"))
    ]


def _certificate(name: str, chain: bytes) -> dict[str, str]:
    try:
        leaf = load_pem_x509_certificate(chain)  # the first of the file
    except ValueError:
        return {"name": name, "fingerprint": "", "spki": ""}
    spki = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        "name": name,
        "fingerprint": hashlib.sha256(leaf.public_bytes(Encoding.DER)).hexdigest(),
        "spki": hashlib.sha256(spki).hexdigest(),
    }


def _read(path: Path, domain: str, selector: str) -> dict[str, str]:
    try:
        return _entry(SigningKey.from_pem(path.read_bytes(), domain=domain, selector=selector))
    except (OSError, MxfleetError):
        return {"domain": domain, "selector": selector, "spki": ""}


def _entry(key: SigningKey) -> dict[str, str]:
    spki = key.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {"domain": key.domain, "selector": key.selector, "spki": hashlib.sha256(spki).hexdigest()}
