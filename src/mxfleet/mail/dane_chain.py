"""A certificate chain against TLSA records (RFC 7671 §5, RFC 7672 §3.1): pure, the time is told.

DANE-EE(3): the host's own certificate or key is the one that was published, and nothing else counts, neither names
nor dates. DANE-TA(2): the chain leads to the published authority, with valid dates and a name that was asked for.
"""

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256, sha512

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from mxfleet.mail.names import canonical_name
from mxfleet.mail.questions import Tlsa

_UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
_MAX_CHAIN = 10
_MAX_RECORDS = 10  # of authorities that are tried; whoever publishes more means no good
# Critical extensions of an issuer that are looked at here; with any other it issues nothing (RFC 5280 §4.2).
_UNDERSTOOD = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.CertificatePolicies)


@dataclass(frozen=True, slots=True)
class Match:
    """The record that the chain fulfils, or why none; the reason is for logs and reports."""

    record: Tlsa | None
    reason: str = ""


def match(records: Sequence[Tlsa], chain: Sequence[bytes], names: Sequence[str], now: datetime) -> Match:
    """Whether a chain fulfils any of the (usable) records.

    `chain` is what the host sent, DER, its own certificate first; `names` are those of `Requirement`.
    """
    try:
        certificates = [x509.load_der_x509_certificate(octets) for octets in chain]
    except _UNREADABLE as error:
        return Match(None, f"the chain cannot be read: {error}")
    if not 0 < len(certificates) <= _MAX_CHAIN:
        return Match(None, f"the host sent {len(certificates)} certificates")
    for record in records:
        if record.usage == 3 and fulfils(record, certificates[0]):
            return Match(record)
    reason = "no record matches the host's certificate"
    for record in [one for one in records if one.usage == 2][:_MAX_RECORDS]:
        reason = _under_authority(record, certificates, names, now)
        if not reason:
            return Match(record)
    return Match(None, reason)


def fulfils(record: Tlsa, certificate: x509.Certificate) -> bool:
    """Whether a certificate is the one of a record, by what the record selects and however it is hashed."""
    try:
        if record.selector == 0:
            selected = certificate.public_bytes(Encoding.DER)
        else:
            key = certificate.public_key()
            selected = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except _UNREADABLE:
        return False  # a key that nobody here can use
    if record.matching:
        selected = (sha256 if record.matching == 1 else sha512)(selected).digest()
    return hmac.compare_digest(selected, record.data)


def _under_authority(
    record: Tlsa, certificates: Sequence[x509.Certificate], names: Sequence[str], now: datetime
) -> str:
    """Why the chain does not lead to the record's authority; "" where it does (RFC 7672 §3.1.2)."""
    host = certificates[0]
    if not _is_named(host, names):
        return f"the certificate is for none of {', '.join(names)}"
    if not _may_serve(host):
        return "the certificate is not for servers"
    known = [*certificates[1:], *_published(record)]
    return "" if _leads(record, host, known, now) else "no valid chain leads to the authority of a record"


def _leads(record: Tlsa, host: x509.Certificate, known: Sequence[x509.Certificate], now: datetime) -> bool:
    """Whether a path leads to the record's authority; an authority may have several certificates.

    Step by step upwards, all paths at once: a certificate is looked at once in each step, so that a hostile chain
    of one name and one key, where each seems to have issued each, costs no more than its square in each step.
    """
    issuers = [one for one in known if _is_valid(one, now)]
    reached = [host] if _is_valid(host, now) else []
    for below in range(len(issuers)):
        reached = [one for one in issuers if any(_issued(one, last, below) for last in reached)]
        if any(fulfils(record, one) for one in reached):
            return True
    return False


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _published(record: Tlsa) -> Iterator[x509.Certificate]:
    """The authority's certificate where the record has all of it: the host need not send it (2 0 0)."""
    if (record.selector, record.matching) == (0, 0):
        try:
            yield x509.load_der_x509_certificate(record.data)
        except _UNREADABLE:
            return


def _issued(issuer: x509.Certificate, certificate: x509.Certificate, below: int) -> bool:
    """Whether one signed the other and was allowed to; `below` are the authorities between it and the host."""
    try:
        certificate.verify_directly_issued_by(issuer)
        extensions = issuer.extensions
    except (*_UNREADABLE, TypeError, InvalidSignature):
        return False
    if any(one.critical and not isinstance(one.value, _UNDERSTOOD) for one in extensions):
        return False
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    length = constraints.path_length
    return constraints.ca and (length is None or below <= length) and _may_sign(extensions)


def _may_sign(extensions: x509.Extensions) -> bool:
    try:
        return extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True


def _may_serve(certificate: x509.Certificate) -> bool:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except _UNREADABLE:
        return False
    return any(
        u in (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE) for u in usages
    )


def _is_named(certificate: x509.Certificate, names: Sequence[str]) -> bool:
    """RFC 7672 §3.2.3, by the DNS names of the certificate; its common name does not count (RFC 6125 §6.4.4)."""
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (*_UNREADABLE, x509.ExtensionNotFound):
        return False
    given = alternative.get_values_for_type(x509.DNSName)
    return any(is_name(pattern, name) for pattern in given for name in names)


def is_name(pattern: str, name: str) -> bool:
    """Whether a name in a certificate is this one; `*` is exactly the whole first label (RFC 6125 §6.4.3)."""
    wanted = canonical_name(pattern.removeprefix("*."))
    if pattern.startswith("*."):
        return wanted != "" and "." in name and name.partition(".")[2] == wanted
    return wanted != "" and name == wanted
