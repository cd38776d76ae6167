"""Sealed here, validated by our own reading of RFC 8617 and by dkimpy's."""

from functools import cache
from typing import Final

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from mxfleet.mail.arc import Arc, ArcResult, Chain
from mxfleet.mail.arc_seal import seal
from mxfleet.mail.dkim.bodies import BodyHashes
from mxfleet.mail.dkim.key import SigningKey
from mxfleet.mail.dkim.record import record_text
from mxfleet.mail.message import split_message
from tests.unit.mail.zone import Zone, answer_from

NOW: Final = 1_795_507_200
MESSAGE: Final = (
    b"DKIM-Signature: v=1; d=a.test\r\nFrom: Alice <alice@a.test>\r\nTo: sales@shop.test\r\n"
    b"Subject: hello\r\n world\r\nDate: Tue, 24 Nov 2026 08:05:00 +0000\r\n\r\nDear  all,\r\n\r\nbye \r\n\r\n"
)
RESULTS: Final = ["spf=pass smtp.mailfrom=alice@a.test"]


@cache
def key(domain: str = "corp.test") -> SigningKey:
    return SigningKey(domain, "r1", generate_private_key(65537, 2048))


def zone() -> Zone:
    return Zone({f"r1._domainkey.{d} TXT": record_text(key(d).public) for d in ("corp.test", "next.test")})


def sealed(message: bytes, state: ArcResult = "none", domain: str = "corp.test") -> bytes:
    headers, body = split_message(message)
    bodies = BodyHashes({"relaxed"})
    bodies.update(body)
    hashed = bodies.digest("relaxed")
    added = seal(headers, "mx.corp.test", RESULTS, state, body_hash=hashed, key=key(domain), timestamp=NOW)
    return added + message


def verdict(message: bytes) -> Arc:
    headers, body = split_message(message)
    chain = Chain(headers, now=NOW)
    bodies = BodyHashes(chain.canonicalizations)
    bodies.update(body)
    return answer_from(zone(), chain.verify(bodies))


def by_dkimpy(message: bytes) -> str:
    records = {
        f"r1._domainkey.{d}.".encode(): record_text(key(d).public).encode()
        for d in ("corp.test", "next.test")
    }
    found, _, _ = dkim.arc_verify(message, dnsfunc=lambda name, **_: records.get(name))
    return str(found.decode())


def test_a_seal_is_genuine_to_us_and_to_others() -> None:
    once = sealed(MESSAGE)
    assert once.startswith(b"ARC-Seal: i=1; a=rsa-sha256; cv=none; d=corp.test;")
    assert b"ARC-Authentication-Results: i=1;" in once
    assert verdict(once) == Arc("pass", "", ("corp.test",))
    assert by_dkimpy(once) == "pass"


def test_a_chain_goes_on() -> None:
    twice = sealed(b"Received: by next.test\r\n" + sealed(MESSAGE), "pass", "next.test")
    assert b"ARC-Seal: i=2; a=rsa-sha256; cv=pass; d=next.test;" in twice
    assert verdict(twice) == Arc("pass", "", ("corp.test", "next.test"))
    assert by_dkimpy(twice) == "pass"


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"Dear", b"Fear"), (b"hello", b"hallo"), (b"spf=pass", b"spf=fail"), (b"d=a.test", b"d=b.test")],
)
def test_whatever_is_changed_afterwards_breaks_it(old: bytes, new: bytes) -> None:
    changed = sealed(MESSAGE).replace(old, new)
    assert verdict(changed).result == "fail"
    assert by_dkimpy(changed) == "fail"


def test_a_broken_chain_is_sealed_as_broken_once() -> None:
    broken = sealed(sealed(MESSAGE).replace(b"hello", b"hallo"), "fail", "next.test")
    assert b"ARC-Seal: i=2; a=rsa-sha256; cv=fail; d=next.test;" in broken
    assert verdict(broken).result == "fail"
    assert verdict(broken).reason == "the last handler found the chain broken"
    assert sealed(broken, "fail") == broken


def test_a_chain_that_cannot_be_read_is_sealed_as_broken() -> None:
    torn = b"ARC-Seal: i=3; cv=pass; d=x.test\r\n" + MESSAGE
    assert b"ARC-Seal: i=4; a=rsa-sha256; cv=fail;" in sealed(torn, "fail")


def test_a_full_chain_gets_no_other_set() -> None:
    full = b"ARC-Seal: i=50; a=rsa-sha256; cv=pass; d=x.test; s=s; b=\r\n" + MESSAGE
    assert sealed(full, "fail") == full


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=300), st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=60))
def test_whatever_the_message_is_the_seal_holds(body: bytes, subject: str) -> None:
    clean = body.replace(b"\r", b"").replace(b"\n", b"\r\n")
    message = b"From: a@a.test\r\nSubject: " + subject.encode() + b"\r\n\r\n" + clean
    assert verdict(sealed(message)).result == "pass"
