"""Mailboxes, paths and domains of RFC 5321 §4.1.2."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mxfleet.errors import AddressError
from mxfleet.mail.address import (
    POSTMASTER,
    Mailbox,
    is_address_literal,
    parse_domain,
    parse_forward_path,
    parse_mailbox,
    parse_reverse_path,
    path,
)

ATEXT = "abcXYZ019!#$%&'*+/=?^_`{|}~-"
wide = st.text(st.characters(min_codepoint=0xA1, exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=4)
dot_strings = st.lists(st.text(ATEXT, min_size=1, max_size=8), min_size=1, max_size=4).map(".".join)
printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
labels = st.from_regex(re.compile(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?"), fullmatch=True)
domains = st.lists(labels, min_size=1, max_size=4).map(".".join)


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("alice@corp.test", "alice", "corp.test"),
        ("Alice+Tag@CORP.Test", "Alice+Tag", "corp.test"),
        ("a@b", "a", "b"),
        ('"alice"@corp.test', "alice", "corp.test"),
        ('"a b"@corp.test', "a b", "corp.test"),
        ('"a\\"b\\\\c"@corp.test', 'a"b\\c', "corp.test"),
        ('"a@b"@corp.test', "a@b", "corp.test"),
        ('""@corp.test', "", "corp.test"),
        ("a@[192.0.2.1]", "a", "[192.0.2.1]"),
        ("a@[ipv6:2001:DB8:0:0::1]", "a", "[IPv6:2001:db8::1]"),
        ("a@bücher.test", "a", "xn--bcher-kva.test"),
        ("a@BÜCHER.test", "a", "xn--bcher-kva.test"),
        ("a@XN--BCHER-KVA.test", "a", "xn--bcher-kva.test"),
        ("a" * 64 + "@b.test", "a" * 64, "b.test"),
        ("a" * 247 + "@b.test", "a" * 247, "b.test"),
        ("é" * 123 + "@b.test", "é" * 123, "b.test"),
        ("Jörg.Müller@corp.test", "Jörg.Müller", "corp.test"),
        ('"ж ж"@corp.test', "ж ж", "corp.test"),
        ("用户@例え.test", "用户", "xn--r8jz45g.test"),
    ],
)
def test_a_mailbox_is_read_and_made_canonical(text: str, local: str, domain: str) -> None:
    assert parse_mailbox(text) == Mailbox(local, domain)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "alice",
        "@corp.test",
        "alice@",
        ".a@b.test",
        "a.@b.test",
        "a..b@c.test",
        "a b@c.test",
        "a@b@c.test",
        "a\r\n@b.test",
        "a@b.test\n",
        "a@b..test",
        "a@b.test.",
        "a@-b.test",
        "a@b-.test",
        "a@b_c.test",
        "a@" + "b" * 64 + ".test",
        "a@" + ".".join(["b" * 60] * 5),
        "a" * 248 + "@b.test",
        "a" * 64 + "@" + ".".join(["b" * 47] * 4),
        'a"b@c.test',
        '"a"b@c.test',
        '"a@b.test',
        '"a\r"@b.test',
        "a\u0085@b.test",
        "é\u2028@b.test",
        "\ud800@b.test",
        "é" * 124 + "@b.test",
        "a@[192.0.2.256]",
        "a@[192.0.2.1",
        "a@[192.0.2.1]x",
        "a@[IPv6:fe80::1%eth0]",
        "a@[IPv6:192.0.2.1]",
        "a@[2001:db8::1]",
        "a@straße.test",
        "a@\u200d.test",
        "a@b\u3002\u3002test",
        "<a@b.test>",
    ],
)
def test_what_the_grammar_forbids_is_no_mailbox(text: str) -> None:
    with pytest.raises(AddressError):
        parse_mailbox(text)


@given(wide, wide, domains)
def test_a_mailbox_in_utf8_written_and_read_again_is_the_same(left: str, right: str, domain: str) -> None:
    for local in (f"{left}a.b{right}", f"{left} {right}", f'{left}"\\{right}'):
        assert parse_mailbox(str(Mailbox(local, domain))) == Mailbox(local, domain)


@given(st.one_of(dot_strings, printable), domains)
@example("postmaster", "b")
@example('back\\slash "quote"', "b")
def test_a_mailbox_written_and_read_again_is_the_same(local: str, domain: str) -> None:
    mailbox = Mailbox(local, domain)
    written = str(mailbox)
    if len(written) + 2 > 256:
        with pytest.raises(AddressError, match="longer than"):
            parse_mailbox(written)
    else:
        assert parse_mailbox(written) == mailbox
    assert written.isascii()
    assert written.isprintable()


@given(st.text(max_size=40))
@example("a@b")
def test_what_is_accepted_fits_on_one_line_between_brackets(text: str) -> None:
    try:
        mailbox = parse_mailbox(text)
    except AddressError:
        return
    assert re.fullmatch(r"<[^\x00-\x1f\x7f-\x9f\u2028\u2029]+>", path(mailbox))
    assert parse_mailbox(str(mailbox)) == mailbox


def test_quoting_makes_no_difference_and_case_only_left_of_the_at() -> None:
    assert parse_mailbox('"alice"@CORP.test') == parse_mailbox("alice@corp.test")
    assert parse_mailbox("Alice@corp.test") != parse_mailbox("alice@corp.test")
    assert parse_mailbox("Alice@corp.test").canonical == parse_mailbox("aLICE@corp.test").canonical


def test_one_address_written_with_different_octets_has_one_key() -> None:
    assert parse_mailbox("JÖRG@b.test").canonical == parse_mailbox("jo\u0308rg@b.test").canonical
    assert not parse_mailbox("jörg@b.test").is_ascii
    assert parse_mailbox("joerg@bücher.test").is_ascii


def test_the_null_reverse_path_is_none() -> None:
    assert parse_reverse_path("") is None
    assert path(None) == "<>"
    assert parse_reverse_path("a@b.test") == Mailbox("a", "b.test")


@pytest.mark.parametrize("text", ["postmaster", "POSTMASTER", "Postmaster"])
def test_postmaster_needs_no_domain(text: str) -> None:
    assert parse_forward_path(text) == POSTMASTER
    assert path(POSTMASTER) == "<postmaster>"
    assert parse_mailbox(f"{text}@corp.test").is_postmaster


@pytest.mark.parametrize("text", ["", "alice"])
def test_nobody_else_does(text: str) -> None:
    with pytest.raises(AddressError):
        parse_forward_path(text)


def test_source_routes_are_taken_and_ignored() -> None:
    assert parse_forward_path("@a.test,@b.test:c@d.test") == Mailbox("c", "d.test")
    assert parse_reverse_path("@a.test:c@d.test") == Mailbox("c", "d.test")
    with pytest.raises(AddressError):
        parse_forward_path("@a.test,c@d.test")


def test_an_address_literal_is_told_from_a_name() -> None:
    assert is_address_literal(parse_domain("[192.0.2.1]"))
    assert not is_address_literal(parse_domain("192.0.2.1"))


def test_an_error_says_what_and_why() -> None:
    with pytest.raises(AddressError, match=r"mailbox 'a@\[1\]'|address literal '\[1\]': neither"):
        parse_mailbox("a@[1]")
    with pytest.raises(AddressError, match="write its A-label"):
        parse_domain("straße.test")
