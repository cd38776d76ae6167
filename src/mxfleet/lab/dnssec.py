"""One signing key a zone, made by the controller: so the zones' DS and the root's anchor are known before boot."""

from collections.abc import Mapping

import dns.dnssec
import dns.name
import dns.rdtypes.ANY.DNSKEY
import dns.rdtypes.ANY.DS
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from dns.dnssectypes import Algorithm, DSDigest

from mxfleet.errors import LabError

ROOT = "."
COMBINED_KEY = 257  # zone key and secure entry point in one (RFC 4034 §2.1.1, RFC 6781 §3.1)
ANCHOR_TTL = 3600


def new_key() -> str:
    """An ECDSA P-256 key (algorithm 13, RFC 6605) as PKCS #8 PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_record(pem: str) -> dns.rdtypes.ANY.DNSKEY.DNSKEY:
    """The DNSKEY record of the key."""
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise LabError("a zone key of the lab is not ECDSA", hint="mxfleet lab down, then up again")
    return dns.dnssec.make_dnskey(key.public_key(), Algorithm.ECDSAP256SHA256, flags=COMBINED_KEY)


def delegation_signer(zone: str, pem: str) -> str:
    """The text of the DS record that the zone's parent holds for the key (SHA-256, RFC 4509)."""
    name = dns.name.from_text(zone)
    return dns.dnssec.make_ds(name, public_record(pem), DSDigest.SHA256).to_text()


def trust_anchor(pem: str) -> str:
    """The root's DNSKEY as a line that unbound's `trust-anchor-file` and `delv -a` read."""
    return f". {ANCHOR_TTL} IN DNSKEY {public_record(pem).to_text()}\n"


def children(zone: str, zones: Mapping[str, str]) -> dict[str, str]:
    """The zones delegated from `zone` among all of `zones` (name → key), with their DS records' text."""
    return {
        child: delegation_signer(child, pem)
        for child, pem in zones.items()
        if child != ROOT and parent(child, zones) == zone
    }


def parent(child: str, zones: Mapping[str, str]) -> str:
    """The closest zone above `child` among `zones`, the root if none is nearer."""
    labels = child.split(".")
    for index in range(1, len(labels)):
        if (name := ".".join(labels[index:])) in zones:
            return name
    return ROOT
