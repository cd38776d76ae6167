"""The simple form of a body: the RFC's examples, and dkimpy on bodies cut anywhere."""

from base64 import b64encode
from hashlib import sha256

import pytest
from dkim.canonicalization import Simple
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.dkim.bodies import BodyHashes, SimpleBody

PARTS = [b" ", b"\t", b"\r\n", b"\r\n", b"\r\n", b"a", b"bc", b"\xff"]
BODIES = st.lists(st.sampled_from(PARTS), max_size=30).map(b"".join)
STRAY = st.lists(st.sampled_from([*PARTS, b"\r", b"\n"]), max_size=30).map(b"".join)


def digest(body: bytes, size: int = 1 << 20) -> bytes:
    hashed = SimpleBody()
    for at in range(0, len(body), size):
        hashed.update(body[at : at + size])
    return hashed.digest()


def test_the_example_of_rfc_6376_3_4_5() -> None:
    body = b" C \r\nD \t E\r\n\r\n\r\n"
    assert digest(body) == sha256(b" C \r\nD \t E\r\n").digest()


@pytest.mark.parametrize("body", [b"", b"\r\n", b"\r\n\r\n\r\n"])
def test_an_empty_body_has_the_hash_that_the_rfc_gives(body: bytes) -> None:
    assert b64encode(digest(body)) == b"frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="


@given(BODIES, st.integers(1, 9))
def test_a_body_has_the_hash_of_dkimpy_however_it_is_cut(body: bytes, size: int) -> None:
    oracle = Simple.canonicalize_body(body)  # type: ignore[no-untyped-call]
    assert digest(body, size) == sha256(oracle).digest()


@given(STRAY, st.integers(1, 9))
def test_stray_carriage_returns_and_line_feeds_are_content(body: bytes, size: int) -> None:
    content = body
    while content.endswith(b"\r\n"):
        content = content[:-2]
    assert digest(body, size) == digest(body) == sha256(content + b"\r\n").digest()


def test_a_gigabyte_of_empty_lines_is_counted_not_kept() -> None:
    hashed = SimpleBody()
    for _ in range(100):
        hashed.update(b"\r\n" * 5_000)
    assert hashed.digest() == digest(b"")
    hashed.update(b"x")
    assert hashed.digest() == sha256(b"\r\n" * 500_000 + b"x\r\n").digest()


def test_only_the_forms_that_are_wanted_are_computed() -> None:
    bodies = BodyHashes({"relaxed"})
    bodies.update(b"a  b\r\n")
    assert bodies.digest("relaxed") == sha256(b"a b\r\n").digest()
    with pytest.raises(KeyError):
        bodies.digest("simple")
