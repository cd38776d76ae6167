"""Chains: sealed here by a plain reading of RFC 8617, validated by us and by dkimpy."""

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from typing import Final

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import event, given
from hypothesis import strategies as st

from mxfleet.errors import MessageError
from mxfleet.mail.arc import Arc, Chain
from mxfleet.mail.dkim.bodies import BodyHashes
from mxfleet.mail.dkim.record import record_text
from mxfleet.mail.message import split_message
from tests.unit.mail.zone import TIMEOUT, Zone, answer_from

NOW: Final = 1_795_507_200
MESSAGE: Final = b"From: Alice <alice@a.test>\r\nTo: list@l.test\r\nSubject: hello\r\n world\r\n\r\nDear list,\r\n\r\nbye\r\n"


@cache
def key() -> RSAPrivateKey:
    return generate_private_key(65537, 1024)


def records() -> dict[str, object]:
    text = record_text(key().public_key())
    return {f"s._domainkey.{domain} TXT": text for domain in ("l.test", "m.test", "n.test")}


def relaxed(field: bytes) -> bytes:
    name, _, body = field.partition(b":")
    return (
        name.strip().lower() + b":" + re.sub(rb"[ \t]+", b" ", body.replace(b"\r\n", b"")).strip() + b"\r\n"
    )


def sign(octets: bytes) -> bytes:
    return b64encode(key().sign(octets, PKCS1v15(), SHA256()))


def fields_of(message: bytes) -> list[bytes]:
    return re.findall(rb"[^\r\n]+(?:\r\n[ \t][^\r\n]*)*\r\n", message.partition(b"\r\n\r\n")[0] + b"\r\n")


def seal(
    message: bytes, instance: int, domain: bytes = b"l.test", state: bytes = b"", extra: bytes = b""
) -> bytes:
    """Add a set, as RFC 8617 §5.1 says."""
    fields, body = fields_of(message), message.partition(b"\r\n\r\n")[2]
    results = b"ARC-Authentication-Results: i=%d; %s; spf=pass smtp.mailfrom=a.test\r\n" % (instance, domain)
    body_hash = b64encode(sha256(body).digest())  # the body has no untidy white space
    begin = (
        b"ARC-Message-Signature: i=%d; a=rsa-sha256; c=relaxed/relaxed; d=%s; s=s;%s\r\n t=%d; h=from:to:subject; bh=%s; b="
        % (
            instance,
            domain,
            extra,
            NOW,
            body_hash,
        )
    )
    covered = b"".join(
        relaxed(f)
        for name in (b"from", b"to", b"subject")
        for f in fields
        if f.lower().startswith(name + b":")
    )
    message_field = begin + sign(covered + relaxed(begin).rstrip()) + b"\r\n"
    state = state or (b"none" if instance == 1 else b"pass")
    begin = b"ARC-Seal: i=%d; a=rsa-sha256; cv=%s; d=%s; s=s; t=%d;\r\n b=" % (instance, state, domain, NOW)
    sets = [
        relaxed(
            next(
                f for f in fields if re.match(rb"%s:.*\bi=%d;" % (name, number), f, re.IGNORECASE | re.DOTALL)
            )
        )
        for number in range(1, instance)
        for name in (b"arc-authentication-results", b"arc-message-signature", b"arc-seal")
    ]
    scope = b"".join(sets) + relaxed(results) + relaxed(message_field) + relaxed(begin).rstrip()
    return begin + sign(scope) + b"\r\n" + message_field + results + message


def chain_of(count: int) -> bytes:
    message = MESSAGE
    for instance in range(1, count + 1):
        message = seal(message, instance, (b"l.test", b"m.test", b"n.test")[instance % 3])
    return message


def validate(message: bytes, zone: dict[str, object] | None = None) -> Arc:
    headers, body = split_message(message)
    chain = Chain(headers, now=NOW)
    bodies = BodyHashes(chain.canonicalizations)
    bodies.update(body)
    resolve = Zone(records() if zone is None else zone)
    verdict = answer_from(resolve, chain.verify(bodies))
    if verdict.result == "pass":
        assert set(resolve.asked) == set(chain.questions)
    return verdict


def dkimpy(message: bytes) -> bool:
    texts = {name.partition(" ")[0]: str(text).encode() for name, text in records().items()}
    try:
        state, _, _ = dkim.ARC(message).verify(  # type: ignore[no-untyped-call]
            dnsfunc=lambda name, timeout=0: texts.get(name.decode().rstrip("."), b"")
        )
    except (dkim.DKIMException, ValueError, IndexError, AssertionError):  # it crashes on some
        return False
    return bool(state == b"pass")


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_an_unbroken_chain_passes_and_names_its_sealers(count: int) -> None:
    message = chain_of(count)
    verdict = validate(message)
    assert (verdict.result, verdict.reason) == ("pass", "")
    assert verdict.sealers == tuple(("l.test", "m.test", "n.test")[n % 3] for n in range(1, count + 1))
    assert dkimpy(message)


def test_a_message_without_a_chain_has_none() -> None:
    assert validate(MESSAGE) == Arc("none")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"bye", b"hi", "the body"),
        (b"hello", b"yellow", "the header"),
        (b"; spf=pass", b"; spf=fail", "seal 2 does not verify"),
        (b"cv=pass", b"cv=none", "says cv=none"),
        (b"cv=pass", b"cv=fail", "found the chain broken"),
        (b"cv=none", b"cv=pass", "says cv=pass"),
        (b"cv=none", b"cv=none; h=from", "with h="),
        (b"ARC-Seal: i=1", b"ARC-Seal: i=3", "not complete"),
        (b"ARC-Seal: i=1", b"ARC-Seal: i=2", "two ARC-Seal"),
        (b"ARC-Seal: i=1", b"ARC-Seal: i=0", "without an instance"),
        (b"ARC-Seal: i=1", b"ARC-Seal: i=51", "more than 50"),
        (b"ARC-Seal: i=1", b"X-Seal: i=1", "not complete"),
        (b"Results: i=1;", b"Results: ", "without an instance"),
        (b"h=from", b"h=arc-seal:from", "covers ARC-Seal"),
        (b"h=from:to", b"h=to", "does not cover From"),
        (b"a=rsa-sha256; cv", b"a=rsa-sha1; cv", "rsa-sha1"),
        (b"cv=pass;", b"", "without cv="),
        (b"d=n.test; s=s; t", b"d=x.test; s=s; t", "no key at"),
    ],
)
def test_a_broken_chain_fails(old: bytes, new: bytes, reason: str) -> None:
    message = chain_of(2)
    assert old in message
    verdict = validate(message.replace(old, new, 1))
    assert verdict.result == "fail"
    assert reason in verdict.reason


def test_a_message_signature_with_a_length_is_not_accepted() -> None:
    assert "with l=" in validate(seal(MESSAGE, 1, extra=b" l=5;")).reason


def test_a_key_without_an_answer_is_a_failure_that_may_pass() -> None:
    zone = {**records(), "s._domainkey.m.test TXT": TIMEOUT}
    verdict = validate(chain_of(2), zone)
    assert (verdict.result, verdict.temporary) == ("fail", True)


@given(st.integers(1, 3), st.integers(0, 3000), st.sampled_from([b"x", b"", b" ", b";", b"=", b"\t", b"1"]))
def test_dkimpy_agrees_on_damaged_chains(count: int, at: int, octets: bytes) -> None:
    message = chain_of(count)
    position = at % len(message)
    if message[position] in b"\r\n":
        return
    damaged = message[:position] + octets + message[position + 1 :]
    try:
        ours = validate(damaged)
    except MessageError:
        return
    event(ours.result)
    theirs = dkimpy(damaged)
    if (
        ours.result == "pass" and not theirs
    ):  # dkimpy looks for b" i=1;", the RFC has white space as one likes
        assert list(map(relaxed, fields_of(damaged))) == list(map(relaxed, fields_of(message)))
    else:
        assert (ours.result == "pass") == theirs, ours.reason


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"]),
            st.text(alphabet=st.sampled_from("i=123; acvdsbh/none"), max_size=30),
        ),
        max_size=4,
    )
)
def test_no_fields_are_a_crash(fields: list[tuple[str, str]]) -> None:
    raw = "".join(f"{name}: {text}\r\n" for name, text in fields).encode()
    assert validate(raw + MESSAGE, {}).result == ("fail" if fields else "none")
