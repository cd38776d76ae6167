"""Signatures that others verify: the RFC's own example, and dkimpy over generated messages."""

import re
from base64 import b64decode, b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path

import dkim
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from mxfleet.errors import MailError, MessageError
from mxfleet.mail.dkim.canonical import RelaxedBody, relaxed_field
from mxfleet.mail.dkim.key import PrivateKey, PublicKey, SigningKey
from mxfleet.mail.dkim.record import parse_record, record_text, revoked_text
from mxfleet.mail.dkim.selection import names_to_sign, selected
from mxfleet.mail.dkim.sign import Signer
from mxfleet.mail.dkim.tags import parse_tags, without_folds
from mxfleet.mail.message import Headers, parse_headers, split_message

RFC_RSA = (
    "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi"
    "Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G"
    "+2kryOTIKT+l/K4w3QIDAQAB"
)
RFC_ED25519 = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
RFC_ED25519_SECRET = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="


def pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@cache
def keys() -> tuple[SigningKey, SigningKey]:
    rsa, edwards = generate_private_key(65537, 2048), Ed25519PrivateKey.generate()
    return (
        SigningKey.from_pem(pem(rsa), domain="Corp.test", selector="r20261123-7f3c9a"),
        SigningKey.from_pem(pem(edwards), domain="corp.test", selector="e20261123-19b0c4"),
    )


def verify(public: PublicKey, signature: bytes, octets: bytes) -> None:
    if isinstance(public, RSAPublicKey):
        public.verify(signature, octets, PKCS1v15(), SHA256())
    else:
        public.verify(signature, sha256(octets).digest())


def oracle_accepts(message: bytes) -> list[bool]:
    """dkimpy's verdict on the two topmost signatures."""
    records = {
        f"{key.selector}._domainkey.corp.test.".encode(): record_text(key.public).encode() for key in keys()
    }
    return [_oracle_accepts(message, number, records) for number in (0, 1)]


def _oracle_accepts(message: bytes, number: int, records: dict[bytes, bytes]) -> bool:
    try:
        oracle = dkim.DKIM(message)  # type: ignore[no-untyped-call]
        verdict = oracle.verify(number, dnsfunc=lambda name, timeout=5: records[name])  # type: ignore[no-untyped-call]
        return bool(verdict)
    except dkim.ValidationError:
        return False


def sign(message: bytes, size: int = 1 << 20) -> bytes:
    headers, body = split_message(message)
    signer = Signer(keys(), timestamp=1_764_000_000)
    for at in range(0, len(body), size):
        signer.body(body[at : at + size])
    return signer.sign(headers)


@pytest.mark.parametrize(("number", "record"), [(0, RFC_ED25519), (1, RFC_RSA)])
def test_the_example_of_rfc_8463_verifies_with_our_canonical_forms(number: int, record: str) -> None:
    headers, body = split_message((Path(__file__).parent / "rfc8463.eml").read_bytes())
    field = headers.all("DKIM-Signature")[number]
    tags = parse_tags(field.text)
    canonical = RelaxedBody()
    canonical.update(body)
    assert b64encode(canonical.digest()).decode() == tags["bh"]
    covered = selected(headers, [name.strip() for name in tags["h"].split(":")])
    unsigned = re.sub(rb"(\sb=)[^;]*", rb"\1", field.body)
    octets = covered + relaxed_field(b"dkim-signature", unsigned).removesuffix(b"\r\n")
    signature = b64decode(without_folds(tags["b"]))
    verify(parse_record(record).public_key(), signature, octets)
    with pytest.raises(InvalidSignature):
        verify(parse_record(record).public_key(), signature, octets + b"x")


def test_the_key_of_rfc_8463_is_published_as_the_rfc_does() -> None:
    key = Ed25519PrivateKey.from_private_bytes(b64decode(RFC_ED25519_SECRET))
    assert record_text(key.public_key()) == RFC_ED25519.replace("k=ed25519;", "k=ed25519; h=sha256;")
    assert isinstance(parse_record(RFC_ED25519).public_key(), Ed25519PublicKey)


MESSAGE = b"From: a@corp.test\r\nTo: b@x.test\r\nSubject: x\r\nDate: now\r\n\r\nhello  world\r\n"


def test_both_signatures_verify() -> None:
    assert oracle_accepts(sign(MESSAGE) + MESSAGE) == [True, True]


FIELDS = st.tuples(
    st.sampled_from(
        [b"To", b"to", b"CC", b"Subject", b"Received", b"List-Unsubscribe", b"X-Other", b"References"]
    ),
    st.lists(st.sampled_from([b" ", b"\t", b"\r\n\t", b"x", b"<y@z>", b";"]), min_size=1, max_size=6).map(
        b"".join
    ),
)
BODIES = st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"a", b"b."]), max_size=20).map(b"".join)


@settings(max_examples=50, deadline=None)
@given(st.lists(FIELDS, max_size=8), BODIES, st.integers(1, 9))
def test_dkimpy_verifies_whatever_we_sign(fields: list[tuple[bytes, bytes]], body: bytes, size: int) -> None:
    header = b"".join(name + b":" + value + b"_\r\n" for name, value in fields)
    message = b"From: a@corp.test\r\n" + header + b"\r\n" + body + b"\r\n"
    assert oracle_accepts(sign(message, size) + message) == [True, True]


@pytest.mark.parametrize(
    "added",
    [b"Subject: another\r\n", b"Cc: c@x.test\r\n", b"Reply-To: evil@x.test\r\n", b"From: e@x.test\r\n"],
)
def test_no_field_that_a_reader_sees_can_be_added(added: bytes) -> None:
    signed = sign(MESSAGE) + MESSAGE
    assert oracle_accepts(signed) == [True, True]
    at = signed.index(b"From: ")
    assert oracle_accepts(signed[:at] + added + signed[at:]) == [False, False]


def test_a_changed_body_octet_breaks_both() -> None:
    assert oracle_accepts(sign(MESSAGE) + MESSAGE.replace(b"world", b"World")) == [False, False]


def test_the_field_reads_as_an_administrator_expects() -> None:
    text = sign(MESSAGE).decode("ascii")
    assert all(len(line) <= 78 for line in text.split("\r\n"))
    fields = parse_headers(text.encode()).all("dkim-signature")
    first, second = (parse_tags(field.text) for field in fields)
    assert {name: first[name] for name in "vacdst"} == {
        "v": "1",
        "a": "rsa-sha256",
        "c": "relaxed/relaxed",
        "d": "corp.test",
        "s": "r20261123-7f3c9a",
        "t": "1764000000",
    }
    assert (second["a"], second["s"]) == ("ed25519-sha256", "e20261123-19b0c4")
    assert "l" not in first


def test_what_is_shown_is_named_once_more_than_it_is_there() -> None:
    headers = parse_headers(b"From: a\r\nTo: b\r\nTo: c\r\nSender: d\r\nReceived: e\r\n")
    names = names_to_sign(headers)
    assert [names.count(name) for name in ("From", "To", "Cc", "Sender", "Received")] == [2, 3, 1, 1, 0]


def test_instances_are_taken_from_the_bottom() -> None:
    headers = parse_headers(b"To: 1\r\nFrom: a\r\nTo: 2\r\n")
    assert selected(headers, ["to", "To", "TO", "from"]) == b"to:2\r\nto:1\r\nfrom:a\r\n"


def test_without_from_nothing_is_signed() -> None:
    with pytest.raises(MessageError, match="without a From"):
        Signer(keys(), timestamp=0).sign(Headers(b"", ()))


def test_weak_foreign_and_broken_keys_are_refused_without_showing_them() -> None:
    weak = pem(generate_private_key(65537, 1024))
    with pytest.raises(MailError, match=r"s\._domainkey\.corp\.test: RSA of 1024 bits"):
        SigningKey.from_pem(weak, domain="corp.test", selector="s")
    with pytest.raises(MailError, match="not an unencrypted private key") as error:
        SigningKey.from_pem(b"secret", domain="corp.test", selector="s")
    assert "secret" not in str(error.value)
    assert "private" not in repr(keys()[0])


@pytest.mark.parametrize("number", [0, 1])
def test_a_record_is_what_it_was_made_from(number: int) -> None:
    key = keys()[number]
    text = record_text(key.public)
    assert text.startswith(f"v=DKIM1; k={('rsa', 'ed25519')[number]}; h=sha256; p=")
    record = parse_record(text)
    assert record.public_key() == key.public
    assert (record.hashes, record.revoked, record.testing) == (("sha256",), False, False)


def test_records_of_others() -> None:
    record = parse_record(
        " v = DKIM1 ; p = 11qYAYKxCrfVS/7TyWQHOg7hcvPap\r\n iMlrwIaaPcHURo= ; k=ed25519; t=y : s; n=x; "
    )
    assert isinstance(record.public_key(), Ed25519PublicKey)
    assert (record.testing, record.flags) == (True, ("y", "s"))
    assert parse_record("p=").revoked
    assert parse_record(revoked_text("rsa")).revoked
    assert parse_record("p=").kind == "rsa"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=DKIM1",
        "v=DKIM2; p=",
        "p=; v=DKIM1",
        "p=!",
        "p=a; p=b",
        "v=spf1 -all",
        "v=DKIM1; p=; ;",
        "v=DKIM1; 1=x",
    ],
)
def test_what_is_no_key_record(text: str) -> None:
    with pytest.raises(MailError):
        parse_record(text)


def test_a_record_whose_key_is_another_kind() -> None:
    with pytest.raises(MailError, match="no rsa key"):
        parse_record(RFC_ED25519.replace("ed25519", "rsa")).public_key()
    with pytest.raises(MailError, match="no ed25519 key"):
        parse_record(RFC_RSA.replace("k=rsa", "k=ed25519")).public_key()
