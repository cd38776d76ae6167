"""Keys, signed messages and the verdict on them, shared by the tests of verifying."""

from collections.abc import Mapping
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mxfleet.mail.dkim.bodies import BodyHashes
from mxfleet.mail.dkim.key import SigningKey
from mxfleet.mail.dkim.record import record_text
from mxfleet.mail.dkim.sign import Signer
from mxfleet.mail.dkim.verify import Dkim, Verifier
from mxfleet.mail.message import parse_headers, split_message
from tests.unit.mail.zone import Zone, answer_from

NOW = 1_795_507_200
HEADER = (
    b"Received: from a.sender.test by mx.sender.test; Tue, 24 Nov 2026 08:00:00 +0000\r\n"
    b"From: Alice <alice@sender.test>\r\nTo: bob@corp.test\r\nSubject: hello\r\n world\r\n"
    b"Date: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@sender.test>\r\n"
)
BODY = b"Dear Bob,\r\n\r\n  this is \t a text. \r\n\r\nAlice\r\n\r\n"


@cache
def rsa_key() -> SigningKey:
    return SigningKey("sender.test", "r1", generate_private_key(65537, 2048))


@cache
def edwards_key() -> SigningKey:
    return SigningKey("sender.test", "e1", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


@cache
def short_rsa_pem() -> bytes:
    """1024 bits, the least that RFC 8301 lets verifiers accept; dkimpy signs with it in bearable time."""
    key = generate_private_key(65537, 1024)
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def records() -> dict[str, object]:
    return {
        f"{key.selector}._domainkey.{key.domain} TXT": record_text(key.public)
        for key in (rsa_key(), edwards_key())
    }


def signed(*keys: SigningKey, header: bytes = HEADER, body: bytes = BODY, timestamp: int = NOW) -> bytes:
    signer = Signer(keys or (rsa_key(), edwards_key()), timestamp=timestamp)
    signer.body(body)
    return signer.sign(parse_headers(header)) + header + b"\r\n" + body


def verdicts(
    message: bytes, zone: Mapping[str, object] | None = None, *, now: int = NOW, size: int = 1 << 20
) -> tuple[Dkim, ...]:
    headers, body = split_message(message)
    verifier = Verifier(headers, now=now)
    bodies = BodyHashes(verifier.canonicalizations)
    for at in range(0, len(body), size):
        bodies.update(body[at : at + size])
    resolve = Zone(records() if zone is None else zone)
    found = answer_from(resolve, verifier.verify(bodies))
    assert set(resolve.asked) == set(verifier.questions)
    return found


def results(message: bytes, zone: Mapping[str, object] | None = None, *, now: int = NOW) -> list[str]:
    return [verdict.result for verdict in verdicts(message, zone, now=now)]
