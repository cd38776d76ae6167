"""`python -m bench.evidence [--json]`: processor time of SPF, DKIM and DMARC a message, the answers being cached."""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from statistics import median
from timeit import repeat
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from mxfleet.mail.dkim.bodies import BodyHashes
from mxfleet.mail.dkim.key import SigningKey
from mxfleet.mail.dkim.record import record_text
from mxfleet.mail.dkim.sign import Signer
from mxfleet.mail.dkim.verify import Verifier
from mxfleet.mail.dmarc.check import check_dmarc
from mxfleet.mail.message import parse_headers, split_message
from mxfleet.mail.questions import Answer, NxDomain, Question, Response, drive
from mxfleet.mail.spf.check import check_mail_from

NOW: Final = 1_795_507_200
CLIENT: Final = ip_address("192.0.2.7")
KEYS: Final = {
    "rsa": SigningKey("sender.test", "r1", generate_private_key(65537, 2048)),
    "ed25519": SigningKey("sender.test", "e1", Ed25519PrivateKey.generate()),
}
HEADER: Final = (
    b"Received: from a.sender.test (a.sender.test [192.0.2.1])\r\n\tby mx.sender.test with ESMTPS id 123\r\n"
    b"\tfor <bob@corp.test>; Tue, 24 Nov 2026 08:00:00 +0000\r\n"
    b"From: Alice Example <alice@sender.test>\r\nTo: Bob Example <bob@corp.test>\r\n"
    b"Subject: a quite normal message with a subject\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\n"
    b"Message-ID: <abcdef.123456@sender.test>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
)
UNTIDY: Final = b"The quick  brown fox jumps over the lazy dog \t and runs away. \r\n"
ANSWERS: Final[Mapping[Question, Response]] = {
    Question("sender.test", "TXT"): Answer(
        (b"v=spf1 a:h.sender.test include:x.sender.test ip4:192.0.2.0/24 -all",)
    ),
    Question("x.sender.test", "TXT"): Answer((b"v=spf1 ip4:198.51.100.0/24 ip4:203.0.113.0/24 ~all",)),
    Question("h.sender.test", "A"): Answer((ip_address("198.51.100.200"),)),
    Question("_dmarc.sender.test", "TXT"): Answer((b"v=DMARC1; p=reject; rua=mailto:d@sender.test",)),
    **{
        Question(f"{key.selector}._domainkey.sender.test", "TXT"): Answer((record_text(key.public).encode(),))
        for key in KEYS.values()
    },
}


def resolve(question: Question) -> Response:
    """From the cache."""
    return ANSWERS.get(question, NxDomain())


def message(size: int, key: SigningKey) -> bytes:
    """A signed message with a body of this size, its white space untidy."""
    body = (UNTIDY * (size // len(UNTIDY) + 1))[: size - 2] + b"\r\n"
    signer = Signer([key], timestamp=NOW)
    signer.body(body)
    return signer.sign(parse_headers(HEADER)) + HEADER + b"\r\n" + body


def verify(raw: bytes) -> str:
    """DKIM alone, from octets to the verdict."""
    headers, body = split_message(raw)
    verifier = Verifier(headers, now=NOW)
    bodies = BodyHashes(verifier.canonicalizations)
    bodies.update(body)
    return drive(verifier.verify(bodies), resolve)[0].result


def everything(raw: bytes) -> str:
    """SPF, DKIM and DMARC, from octets to the verdict."""
    headers, body = split_message(raw)
    verifier = Verifier(headers, now=NOW)
    bodies = BodyHashes(verifier.canonicalizations)
    bodies.update(body)
    signatures = drive(verifier.verify(bodies), resolve)
    spf = drive(check_mail_from(CLIENT, "a.sender.test", "alice@sender.test"), resolve)
    return drive(check_dmarc(headers, spf, signatures), resolve).result


def microseconds(run: Callable[[], object], times: int = 300) -> float:
    """Median processor time of one run."""
    return median(repeat(run, number=times, repeat=9, timer=time.process_time)) / times * 1e6


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    rows: dict[str, float] = {}
    for size in (4096, 51_200):
        for name, key in KEYS.items():
            raw = message(size, key)
            if everything(raw) != "pass":
                raise SystemExit("bench.evidence: the message does not pass")
            rows[f"dkim {name} {size}"] = microseconds(lambda raw=raw: verify(raw))  # type: ignore[misc]
            rows[f"spf, dkim {name}, dmarc {size}"] = microseconds(lambda raw=raw: everything(raw))  # type: ignore[misc]
    if parser.parse_args().json:
        print(json.dumps({name: round(value, 1) for name, value in rows.items()}))
    else:
        print("\n".join(f"{name:<32}{value:8.0f} us" for name, value in rows.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
