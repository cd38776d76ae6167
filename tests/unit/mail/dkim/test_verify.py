"""Verifying: the RFCs' own examples, what changes a verdict, what is not accepted at all."""

import re
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.errors import MailError, MessageError
from mxfleet.mail.dkim.lookup import KEPT, MAX_RECORD, read_kept_key, read_key
from mxfleet.mail.dkim.record import record_text
from mxfleet.mail.message import parse_headers, split_message
from tests.unit.mail.dkim.messages import (
    BODY,
    HEADER,
    NOW,
    edwards_key,
    records,
    results,
    rsa_key,
    signed,
    verdicts,
)
from tests.unit.mail.zone import TIMEOUT

EXAMPLES = Path(__file__).parent
RFC_6376 = {
    "brisbane._domainkey.example.com TXT": (
        "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOC"
        "KG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPS"
        "PDdQPNUYckcQ2QIDAQAB"
    )
}
RFC_8463 = {
    "brisbane._domainkey.football.example.com TXT": (
        "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    ),
    "test._domainkey.football.example.com TXT": (
        "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jL"
        "QiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip"
        "3G+2kryOTIKT+l/K4w3QIDAQAB"
    ),
}
R1, E1 = "r1._domainkey.sender.test TXT", "e1._domainkey.sender.test TXT"


def test_the_example_of_rfc_6376_appendix_a_passes() -> None:
    message = (EXAMPLES / "rfc6376.eml").read_bytes()
    (verdict,) = verdicts(message, RFC_6376)
    assert (verdict.result, verdict.domain, verdict.selector) == ("pass", "example.com", "brisbane")
    assert (verdict.identity, verdict.head) == ("joe@football.example.com", "AuUoFEfD")
    assert results(message.replace(b"hungry", b"angry"), RFC_6376) == ["fail"]
    # simple is simple: one more space in a header field is another field
    assert results(message.replace(b"From: Joe", b"From:  Joe"), RFC_6376) == ["fail"]


def test_both_examples_of_rfc_8463_appendix_a_pass() -> None:
    message = (EXAMPLES / "rfc8463.eml").read_bytes()
    assert [(v.result, v.algorithm) for v in verdicts(message, RFC_8463)] == [
        ("pass", "ed25519-sha256"),
        ("pass", "rsa-sha256"),
    ]
    assert results(message.replace(b"From: Joe", b"From:   Joe"), RFC_8463) == ["pass", "pass"]
    assert results(message.replace(b"From: Joe", b"From: Jo"), RFC_8463) == ["fail", "fail"]


@given(
    body=st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n", b"b.", b"\xfc"]), max_size=40),
    size=st.integers(1, 50),
)
def test_what_we_sign_we_accept_however_the_body_is_cut(body: list[bytes], size: int) -> None:
    message = signed(edwards_key(), body=b"".join(body) + b"\r\n")
    assert [verdict.result for verdict in verdicts(message, size=size)] == ["pass"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Dear", b"Deer"),
        (b"Alice\r\n\r\n", b"Alice\r\n\r\nand Mallory\r\n"),
        (b"Subject: hello", b"Subject: yellow"),
        (b"From: Alice", b"From: Mallory"),
        (b"\nSubject:", b"\nSubject: one more\r\nSubject:"),  # signed against addition, above and below
        (b"\nDate:", b"\nSubject: one more\r\nDate:"),
        (b"To: bob", b"Cc: eve@evil.test\r\nTo: bob"),
        (b"\nDate:", b"\nContent-Type: text/html\r\nDate:"),
        (b"t=", b"x=9999999999; t="),
    ],
)
def test_a_change_is_seen(old: bytes, new: bytes) -> None:
    assert results(signed()) == ["pass", "pass"]
    changed = signed().replace(old, new, 2)
    assert results(changed) == ["fail", "fail"]


def test_what_a_relay_may_do_is_no_change() -> None:
    message = signed()
    stamped = b"Received: from x by y; Tue, 24 Nov 2026 09:00:00 +0000\r\n" + message
    refolded = stamped.replace(b"Subject: hello\r\n world", b"SUBJECT:  hello   world ")
    assert results(refolded) == ["pass", "pass"]


def edited(pattern: bytes, replacement: bytes) -> bytes:
    """A message with one RSA signature whose field was edited (it would not verify any more)."""
    message, count = re.subn(pattern, replacement, signed(rsa_key()), count=1)
    assert count == 1
    return message


@pytest.mark.parametrize(
    ("pattern", "replacement", "result", "reason"),
    [
        (b"v=1", b"v=2", "neutral", "v= is not 1"),
        (b"v=1; ", b"", "neutral", "v= is not 1"),
        (b"v=1;", b"v=1;;", "neutral", "is not tag=value"),
        (b"v=1;", b"v=1; v=1;", "neutral", "given twice"),
        (b"a=rsa-sha256", b"a=rsa-sha512", "neutral", "is not known"),
        (b"a=rsa-sha256", b"a=rsa-sha1", "policy", "historic"),
        (b"c=relaxed/relaxed", b"c=relaxed/nowsp", "neutral", "canonicalization"),
        (b"d=sender.test", b"d=test", "neutral", "two labels"),
        (b"d=sender.test", b"d=sender..test", "neutral", "two labels"),
        (b"s=r1", b"s=", "neutral", "s= is missing"),
        (b"v=1;", b"v=1; q=http;", "neutral", "key retrieval"),
        (b"v=1;", b"v=1; i=alice@test;", "neutral", "is not within"),
        (b"v=1;", b"v=1; i=alice@evilsender.test;", "neutral", "is not within"),
        (b"v=1;", b"v=1; i=alice;", "neutral", "is not within"),
        (b"v=1;", b"v=1; l=10;", "policy", "l="),
        (b"v=1;", b"v=1; l=ten;", "neutral", "l= is not a number"),
        (b"h=From:From:", b"h=", "neutral", "does not cover From"),
        (b"h=From", b"h=:From", "neutral", "not a list of field names"),
        (rb"h=From", b"h=From:Fr\xc3\xb6m", "neutral", "not a list of field names"),
        (b"bh=", b"bh=*", "neutral", "bh= is not base64"),
        (b"bh=[^;]*", b"bh=", "neutral", "bh= is missing"),
        (b"\tb=", b"\tb=\xc3\xa4", "neutral", "b= is not base64"),
        (rb"t=\d+", b"t=now", "neutral", "t= is not a time"),
        (rb"t=\d+", b"t=%d" % (NOW + 7200), "policy", "in the future"),
        (rb"t=\d+", b"t=1; x=%d" % (NOW - 7200), "policy", "expired"),
        (rb"t=\d+", b"t=%d; x=%d" % (NOW, NOW - 1), "neutral", "x= is before t="),
    ],
)
def test_a_signature_that_is_not_looked_up(
    pattern: bytes, replacement: bytes, result: str, reason: str
) -> None:
    (verdict,) = verdicts(edited(pattern, replacement), {})
    assert verdict.result == result
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("record", "result", "reason"),
    [
        (None, "permerror", "no key at"),
        ("v=DKIM1; p=", "permerror", "revoked"),
        ("v=DKIM2; p=abcd", "permerror", "not DKIM1"),
        ("k=rsa; v=DKIM1; p=abcd", "permerror", "not the first"),
        ("v=DKIM1; k=rsa", "permerror", "p= is missing"),
        ("v=DKIM1; p=nonsense!", "permerror", "not base64"),
        ("v=DKIM1; p=YWJj", "permerror", "no rsa key"),
        ("hello", "permerror", "not tag=value"),
        ("", "permerror", "not tag=value"),
        ("v=DKIM1; h=sha1; p=KEY", "permerror", "not for sha256"),
        ("v=DKIM1; h=sha1 : sha256; p=KEY", "pass", ""),
        ("v=DKIM1; s=tlsrpt; p=KEY", "permerror", "not for e-mail"),
        ("v=DKIM1; s=tlsrpt:email; p=KEY", "pass", ""),
        ("v=DKIM1; k=ed25519; p=MCowBQYDK2VwAyEA", "permerror", "no ed25519 key"),
        ("v=DKIM1; k=ecdsa; p=KEY", "permerror", "no ecdsa key"),
        ("p=KEY", "pass", ""),
        ("v=DKIM1; n=a note; x_unknown=1; p=KEY;", "pass", ""),
        ("v=DKIM1; t=s; p=KEY", "pass", ""),
    ],
)
def test_key_records_are_read_strictly(record: str | None, result: str, reason: str) -> None:
    key = record_text(rsa_key().public).rpartition("p=")[2]
    zone = {} if record is None else {R1: record.replace("KEY", key)}
    (verdict,) = verdicts(signed(rsa_key()), zone)
    assert verdict.result == result
    assert reason in verdict.reason


def test_a_key_of_the_other_kind_is_no_key() -> None:
    assert results(signed(rsa_key()), {R1: record_text(edwards_key().public)}) == ["permerror"]
    assert results(signed(edwards_key()), {E1: record_text(rsa_key().public)}) == ["permerror"]


def test_a_key_that_may_not_speak_for_subdomains() -> None:
    message = edited(b"v=1;", b"v=1; i=@news.sender.test;")
    strict = record_text(rsa_key().public).replace("h=", "t=y:s; h=")
    (verdict,) = verdicts(message, {R1: strict})
    assert (verdict.result, verdict.testing) == ("permerror", True)
    assert "t=s" in verdict.reason


def test_two_records_at_one_selector_are_none() -> None:
    text = record_text(rsa_key().public)
    assert results(signed(rsa_key()), {R1: [text, text]}) == ["permerror"]


def test_no_answer_is_not_a_failure() -> None:
    assert results(signed(rsa_key()), {R1: TIMEOUT}) == ["temperror"]


def test_a_domain_that_is_only_trying_is_told() -> None:
    text = record_text(rsa_key().public).replace("h=", "t=y; h=")
    (verdict,) = verdicts(signed(rsa_key()), {R1: text})
    assert (verdict.result, verdict.testing) == ("pass", True)


def test_a_key_of_512_bits_is_no_proof() -> None:
    modulus = (1 << 511) + 111
    try:
        text = record_text(RSAPublicNumbers(65537, modulus).public_key())
    except ValueError:
        pytest.skip("the library refuses to make such a key")
    (verdict,) = verdicts(signed(rsa_key()), {R1: text})
    assert (verdict.result, "512 bits" in verdict.reason) == ("policy", True)


def test_a_key_with_a_huge_exponent_is_not_computed_with() -> None:
    numbers = RSAPublicNumbers((1 << 1024) + 1, (1 << 2047) + 111)
    (verdict,) = verdicts(signed(rsa_key()), {R1: record_text(numbers.public_key())})
    assert (verdict.result, "exponent" in verdict.reason) == ("policy", True)


def test_a_message_with_two_authors_has_no_good_signature() -> None:
    message = b"From: mallory@evil.test\r\n" + signed()
    assert results(message) == ["policy", "policy"]


def test_more_signatures_than_eight_are_not_looked_at_and_have_one_verdict_together() -> None:
    field = split_message(signed(edwards_key()))[0].fields[0].raw
    found = verdicts(field * 99 + signed(edwards_key()))
    assert [verdict.result for verdict in found] == ["pass"] * 8 + ["policy"]
    assert found[-1].domain == "sender.test"


def test_an_unsigned_message_has_no_verdict_and_asks_nothing() -> None:
    assert verdicts(HEADER + b"\r\n" + BODY) == ()


def test_domains_in_u_labels_are_asked_for_in_a_labels() -> None:
    message = edited(b"d=sender.test", "d=bücher.example".encode())
    (verdict,) = verdicts(message, {"r1._domainkey.xn--bcher-kva.example TXT": TIMEOUT})
    assert (verdict.result, verdict.domain) == ("temperror", "xn--bcher-kva.example")


@given(st.text(alphabet=st.sampled_from('vabchdilqstx=;:/, \t"1rela-sx@.\x00é'), max_size=80))
def test_no_signature_field_is_a_crash(text: str) -> None:
    field = f"DKIM-Signature: {text}\r\n".encode()
    assert len(verdicts(field + HEADER + b"\r\n" + BODY, {})) == 1


@given(
    st.integers(0, 10_000),
    st.binary(min_size=1, max_size=3),
)
def test_no_damaged_signature_is_a_crash_or_a_pass(position: int, octets: bytes) -> None:
    message = signed(edwards_key())
    field = split_message(message)[0].fields[0].raw
    at = 16 + position % (len(field) - 18)
    damaged = field[:at] + octets.translate(None, b"\r\n") + field[at + len(octets) :]
    try:
        (verdict, *_) = verdicts(damaged + message.removeprefix(field))
    except MessageError:  # the header section is none any more
        return
    same = re.sub(rb"\s+", b" ", damaged) == re.sub(rb"\s+", b" ", field)
    assert same or verdict.result != "pass" or _only_base64_white_space(damaged, field)


def _only_base64_white_space(damaged: bytes, field: bytes) -> bool:
    """White space inside `b=` is the one place that the signature does not cover."""
    head, _, value = damaged.rpartition(b"\tb=")
    return (
        head == field.rpartition(b"\tb=")[0]
        and value.split() != []
        and (b"".join(value.split()) == b"".join(field.rpartition(b"\tb=")[2].split()))
    )


@given(st.text(alphabet=st.sampled_from("vkhpstn=;: DKIM1rsaed25519+/\t*é"), max_size=60))
def test_no_key_record_is_a_crash(text: str) -> None:
    try:
        read_key(text.encode())
    except MailError:
        return


@given(st.binary(max_size=60))
def test_no_key_octets_are_a_crash(octets: bytes) -> None:
    for kind in ("rsa", "ed25519"):
        try:
            read_key(f"k={kind}; p={b64encode(octets).decode()}".encode())
        except MailError:
            continue


def test_keys_are_read_once() -> None:
    read_kept_key.cache_clear()
    zone = records()
    for _ in range(3):
        assert results(signed(), zone) == ["pass", "pass"]
    assert (read_kept_key.cache_info().misses, read_kept_key.cache_info().hits) == (2, 4)


def test_headers_without_a_from_field_have_no_good_signature() -> None:
    headers = HEADER.replace(b"From: Alice <alice@sender.test>\r\n", b"")
    field = parse_headers(split_message(signed(edwards_key()))[0].fields[0].raw).raw
    assert results(field + headers + b"\r\n" + BODY) == ["policy"]


def test_a_long_key_record_is_read_but_not_kept_and_a_huge_one_is_not_read() -> None:
    read_kept_key.cache_clear()
    text = record_text(rsa_key().public)
    assert results(signed(rsa_key()), {R1: f"{text}; n={'x' * KEPT}"}) == ["pass"]
    assert read_kept_key.cache_info().currsize == 0
    assert results(signed(rsa_key()), {R1: f"{text}; n={'x' * MAX_RECORD}"}) == ["permerror"]


def test_a_domain_that_could_be_two_is_none() -> None:
    (verdict,) = verdicts(edited(b"d=sender.test", "d=straße.example".encode()), {})
    assert verdict.result == "neutral"


def test_a_key_that_is_not_even_ascii_is_no_usable_key() -> None:
    """The fuzzer found it: such a record raised ValueError, and its mail was deferred for ever."""
    zone = {"r1._domainkey.sender.test TXT": "v=DKIM1; p=é", "e1._domainkey.sender.test TXT": "v=DKIM1; p=é"}
    assert [found.result for found in verdicts(signed(), zone)] == ["permerror", "permerror"]
