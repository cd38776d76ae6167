"""xtext (RFC 3461 §4) and addresses of type utf-8 (RFC 6533 §3)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.errors import AddressError
from mxfleet.mail import xtext


def test_what_parameters_cannot_hold_is_written_in_hex() -> None:
    assert xtext.encode("a+b=c d") == "a+2Bb+3Dc+20d"
    assert xtext.decode("a+2Bb+3Dc+20d") == "a+b=c d"
    assert xtext.encode_utf8("jörg +\\@b") == "j\\x{F6}rg\\x{20}\\x{2B}\\x{5C}@b"
    assert xtext.encode_utf8("jörg +@b", ascii_only=False) == "jörg\\x{20}\\x{2B}@b"


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_written_as_xtext_and_read_again_is_the_same(text: str) -> None:
    written = xtext.encode(text)
    assert re.fullmatch(r"[!-~]*", written)
    assert "=" not in written
    assert xtext.decode(written) == text


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1), st.booleans())
def test_an_address_in_utf8_is_the_same_either_way(text: str, ascii_only: bool) -> None:
    written = xtext.encode_utf8(text, ascii_only=ascii_only)
    assert not set("+= ") & set(written)
    assert written.isascii() or not ascii_only
    assert xtext.decode_utf8(written) == text


@pytest.mark.parametrize("text", ["+", "a+2", "a+2b", "a=b", "a b", "é", "+C3+A9"])
def test_what_is_not_xtext_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        xtext.decode(text)


@pytest.mark.parametrize("text", ["", "a+b", "a b", "\\x{zz}", "\\x{D800}", "\\x{FFFFFF}", "\\", "a\x85"])
def test_what_is_no_address_of_type_utf8_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        xtext.decode_utf8(text)


def test_xtext_is_for_ascii() -> None:
    with pytest.raises(AddressError):
        xtext.encode("é")
