"""Certificate chains against TLSA records (RFC 7671 §5, RFC 7672 §3)."""

from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256, sha512

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.dane_chain import is_name, match
from mxfleet.mail.questions import Tlsa

NOW = datetime(2026, 11, 24, tzinfo=UTC)
NAMES = ("mx.b.test", "b.test")


@cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def issue(
    name: str,
    issuer: str,
    *extensions: tuple[x509.ExtensionType, bool],
    until: datetime = NOW + timedelta(days=30),
    signer: str = "",
) -> x509.Certificate:
    def called(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(called(name))
        .issuer_name(called(issuer))
        .public_key(key(name).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=300))
        .not_valid_after(until)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key(signer or issuer), SHA256())


CA = (x509.BasicConstraints(ca=True, path_length=None), True)


def named(*names: str) -> tuple[x509.ExtensionType, bool]:
    return (x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)


ROOT = issue("root", "root", CA)
MIDDLE = issue("middle", "root", CA)
LEAF = issue("leaf", "middle", named("mx.b.test"))
CHAIN = (LEAF, MIDDLE, ROOT)


def record(certificate: x509.Certificate, usage: int, selector: int, matching: int) -> Tlsa:
    data = certificate.public_bytes(Encoding.DER)
    if selector:
        data = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    hashed = {0: data, 1: sha256(data).digest(), 2: sha512(data).digest()}[matching]
    return Tlsa(usage, selector, matching, hashed)


def reason(*records: Tlsa, chain: tuple[x509.Certificate, ...] = CHAIN, now: datetime = NOW) -> str | None:
    found = match(records, [one.public_bytes(Encoding.DER) for one in chain], NAMES, now)
    assert (found.record is None) == (found.reason != "")
    return None if found.record else found.reason


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_the_hosts_own_certificate_matches_whatever_its_names_and_dates(selector: int, matching: int) -> None:
    anybody = issue("other", "other", until=NOW - timedelta(days=1))
    assert reason(record(anybody, 3, selector, matching), chain=(anybody,)) is None
    assert reason(record(anybody, 3, selector, matching)) == "no record matches the host's certificate"


def test_an_authority_is_not_the_hosts_own_certificate() -> None:
    assert reason(record(MIDDLE, 3, 1, 1)) is not None
    assert reason(record(LEAF, 2, 1, 1)) is not None


@pytest.mark.parametrize("authority", [MIDDLE, ROOT])
@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_a_chain_leads_to_the_authority(authority: x509.Certificate, selector: int, matching: int) -> None:
    assert reason(record(authority, 2, selector, matching)) is None


def test_an_authority_in_the_record_need_not_be_sent() -> None:
    assert reason(record(ROOT, 2, 0, 0), chain=(LEAF, MIDDLE)) is None
    assert reason(record(ROOT, 2, 0, 1), chain=(LEAF, MIDDLE)) is not None


def test_any_record_will_do() -> None:
    assert reason(record(ROOT, 3, 1, 1), record(issue("x", "x", CA), 2, 1, 1), record(ROOT, 2, 1, 1)) is None


def test_order_does_not_matter_and_strangers_neither() -> None:
    assert reason(record(ROOT, 2, 1, 1), chain=(LEAF, issue("x", "x", CA), ROOT, MIDDLE)) is None


def test_an_authority_with_two_certificates_is_found_through_either() -> None:
    crossed = issue("middle", "elsewhere", CA, signer="elsewhere")
    assert reason(record(ROOT, 2, 1, 1), chain=(LEAF, crossed, MIDDLE, ROOT)) is None


@pytest.mark.parametrize(
    ("leaf", "why"),
    [
        (issue("leaf", "middle", named("other.test")), "the certificate is for none of mx.b.test, b.test"),
        (issue("mx.b.test", "middle"), "the certificate is for none of mx.b.test, b.test"),
        (issue("leaf", "middle", named("mx.b.test"), signer="root"), "no valid chain"),
        (issue("leaf", "middle", named("mx.b.test"), until=NOW - timedelta(1)), "no valid chain"),
        (
            issue(
                "leaf",
                "middle",
                named("mx.b.test"),
                (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
            ),
            "not for servers",
        ),
    ],
)
def test_under_an_authority_names_signatures_dates_and_purpose_count(
    leaf: x509.Certificate, why: str
) -> None:
    assert why in (reason(record(ROOT, 2, 1, 1), chain=(leaf, MIDDLE, ROOT)) or "")


def usage(*, sign: bool) -> tuple[x509.ExtensionType, bool]:
    others = "content_commitment key_encipherment data_encipherment key_agreement crl_sign encipher_only"
    off = dict.fromkeys([*others.split(), "decipher_only"], False)
    return (x509.KeyUsage(digital_signature=True, key_cert_sign=sign, **off), True)


@pytest.mark.parametrize(
    ("extensions", "good"),
    [
        ([], False),
        ([(x509.BasicConstraints(ca=False, path_length=None), True)], False),
        ([CA], True),
        ([CA, usage(sign=True)], True),
        ([CA, usage(sign=False)], False),
        ([(x509.BasicConstraints(ca=True, path_length=0), True)], True),
        ([CA, (x509.NameConstraints([x509.DNSName("c.test")], None), True)], False),
    ],
)
def test_only_an_authority_issues(extensions: list[tuple[x509.ExtensionType, bool]], good: bool) -> None:
    middle = issue("middle", "root", *extensions)
    assert (reason(record(ROOT, 2, 1, 1), chain=(LEAF, middle, ROOT)) is None) == good


def test_a_chain_no_longer_than_the_authority_allows() -> None:
    root = issue("root", "root", (x509.BasicConstraints(ca=True, path_length=0), True))
    assert reason(record(root, 2, 1, 1), chain=(LEAF, MIDDLE, root)) is not None


def test_what_cannot_be_read_matches_nothing() -> None:
    assert match([record(LEAF, 3, 1, 1)], [b"x"], NAMES, NOW).record is None
    assert match([record(LEAF, 3, 1, 1)], [], NAMES, NOW).record is None
    assert match([], [LEAF.public_bytes(Encoding.DER)] * 11, NAMES, NOW).record is None


def what_is_said(octets: bytes) -> tuple[bytes, bytes]:
    """What the authority has signed, and its signature: all of a certificate that anything is decided by."""
    read = x509.load_der_x509_certificate(octets)
    return read.tbs_certificate_bytes, read.signature


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # one that the damage has made negative
@given(st.integers(0, 2000), st.integers(1, 255))
def test_a_damaged_chain_never_passes_under_an_authority(at: int, flip: int) -> None:
    octets = bytearray(LEAF.public_bytes(Encoding.DER))
    octets[at % len(octets)] ^= flip
    chain = [bytes(octets), *(one.public_bytes(Encoding.DER) for one in CHAIN[1:])]
    if match([record(ROOT, 2, 1, 1)], chain, NAMES, NOW).record is not None:
        assert what_is_said(chain[0]) == what_is_said(LEAF.public_bytes(Encoding.DER))


def test_only_what_is_signed_is_judged_under_an_authority_and_every_octet_of_the_hosts_own() -> None:
    """The count of unused bits before the signature is signed by nobody and says nothing (RFC 5280 §4.1.1.3)."""
    leaf = LEAF
    while leaf.signature[-1] & 1:  # where the last bit is 1 it cannot be called unused
        leaf = issue("leaf", "middle", named("mx.b.test"))
    octets = bytearray(leaf.public_bytes(Encoding.DER))
    octets[-len(leaf.signature) - 1] = 1
    chain = [bytes(octets), *(one.public_bytes(Encoding.DER) for one in CHAIN[1:])]
    assert what_is_said(chain[0]) == what_is_said(leaf.public_bytes(Encoding.DER))
    assert match([record(ROOT, 2, 1, 1)], chain, NAMES, NOW).record is not None
    assert match([record(leaf, 3, 0, 1)], chain, NAMES, NOW).record is None


@pytest.mark.parametrize(
    ("pattern", "name", "same"),
    [
        ("mx.b.test", "mx.b.test", True),
        ("MX.b.test", "mx.b.test", True),
        ("*.b.test", "mx.b.test", True),
        ("*.b.test", "b.test", False),
        ("*.b.test", "a.mx.b.test", False),
        ("m*.b.test", "mx.b.test", False),
        ("*", "test", False),
        ("*.", "b.test", False),
        ("", "b.test", False),
    ],
)
def test_a_star_is_one_whole_label(pattern: str, name: str, same: bool) -> None:
    assert is_name(pattern, name) == same


def test_certificates_that_all_seem_to_have_issued_each_other_are_looked_at_in_little_time() -> None:
    same = [issue("same", "same", CA) for _ in range(9)]
    host = issue("leaf", "same", named("mx.b.test"))
    wrong = [Tlsa(2, 1, 1, bytes([number]) * 32) for number in range(50)]
    asked = 0

    def seems_so(*_: object) -> bool:
        nonlocal asked
        asked += 1
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mxfleet.mail.dane_chain._issued", seems_so)
        assert reason(*wrong, chain=(host, *same)) == "no valid chain leads to the authority of a record"
    assert asked <= 10 * 9 * 9  # records, steps, certificates: not the factorial of their number
    assert reason(record(same[0], 2, 1, 1), chain=(host, *same)) is None
