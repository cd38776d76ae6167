"""Relaxed forms: the RFC's examples, a plain reading of the RFC, and dkimpy."""

import re
from base64 import b64encode
from hashlib import sha256

import pytest
from dkim.canonicalization import Relaxed
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.dkim.canonical import RelaxedBody, relaxed_header
from mxfleet.mail.message import parse_headers

BODIES = st.lists(
    st.sampled_from([b" ", b"\t", b"\r\n", b"\r\n", b"a", b"bc", b".", b"\xff"]), max_size=30
).map(lambda parts: b"".join(parts) + b"\r\n")


def digest(body: bytes, size: int = 1 << 20) -> bytes:
    canonical = RelaxedBody()
    for at in range(0, len(body), size):
        canonical.update(body[at : at + size])
    return canonical.digest()


def plain(body: bytes) -> bytes:
    """RFC 6376 §3.4.4, rule by rule."""
    lines = [re.sub(rb"[ \t]+", b" ", line).removesuffix(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


def test_the_example_of_rfc_6376_3_4_5() -> None:
    headers = parse_headers(b"A: X\r\nB : Y\t\r\n\tZ  \r\n")
    assert b"".join(map(relaxed_header, headers)) == b"a:X\r\nb:Y Z\r\n"
    assert digest(b" C \r\nD \t E\r\n\r\n\r\n") == sha256(b" C\r\nD E\r\n").digest()


@pytest.mark.parametrize("body", [b"", b"\r\n", b"\r\n\r\n\r\n", b" \t \r\n", b" \r\n\t\r\n"])
def test_an_empty_body_has_the_hash_that_the_rfc_gives(body: bytes) -> None:
    assert b64encode(digest(body)) == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


@given(BODIES, st.integers(1, 9))
def test_the_body_is_that_of_the_rfc_and_of_dkimpy_however_it_is_cut(body: bytes, size: int) -> None:
    assert digest(body, size) == sha256(plain(body)).digest()
    oracle = Relaxed.canonicalize_body(body)  # type: ignore[no-untyped-call]
    assert digest(body) == sha256(oracle).digest()


@given(BODIES, BODIES, st.integers(1, 9))
def test_bodies_have_one_hash_exactly_if_they_have_one_relaxed_form(
    left: bytes, right: bytes, size: int
) -> None:
    assert (digest(left, size) == digest(right)) == (plain(left) == plain(right))


def test_a_body_without_a_last_line_end_gets_one() -> None:
    assert digest(b"a") == digest(b"a\r\n") == digest(b"a \t\r\n\r\n")


def test_endless_blank_lines_need_no_memory_and_are_hashed_where_text_follows() -> None:
    canonical = RelaxedBody()
    for _ in range(1000):
        canonical.update(b"\r\n" * 100)
    assert canonical.size == 0
    canonical.update(b"x")
    assert canonical.digest() == sha256(b"\r\n" * 100_000 + b"x\r\n").digest()


names = st.sampled_from([b"From", b"SUBJECT", b"X-y", b"to "])
values = st.lists(st.sampled_from([b" ", b"\t", b"\r\n ", b"\r\n\t", b"a", b"B:c", b"\xc3\xa9"]), max_size=12)


@given(names, values.map(b"".join))
def test_header_fields_are_those_of_dkimpy(name: bytes, value: bytes) -> None:
    (field,) = parse_headers(name + b":" + value + b"\r\n")
    fields = Relaxed.canonicalize_headers([(name, value + b"\r\n")])  # type: ignore[no-untyped-call]
    ((oracle_name, oracle_value),) = fields
    assert relaxed_header(field) == oracle_name + b":" + oracle_value
