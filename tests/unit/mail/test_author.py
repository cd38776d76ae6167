"""From fields: as RFC 5322 and 6854 allow them, as people write them, and as forgers do."""

from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.errors import MessageError
from mxfleet.mail.author import Author, authors, parse_authors
from mxfleet.mail.message import parse_headers


@pytest.mark.parametrize(
    ("text", "domains"),
    [
        ("alice@A.Test", ["a.test"]),
        ("Alice <alice@a.test>", ["a.test"]),
        ("<alice@a.test>", ["a.test"]),
        ('"Alice, of Wonderland" <alice@a.test>', ["a.test"]),
        ("Alice Q. Public <alice@a.test>", ["a.test"]),
        ('"eve@evil.test" <alice@a.test>', ["a.test"]),
        ("eve@evil.test <alice@a.test>", ["a.test"]),  # what a display name says is only a name
        ('"Bob <bob@b.test>" <alice@a.test>', ["a.test"]),
        ("Alice (eve@evil.test) <alice@a.test>", ["a.test"]),
        ("alice@a.test (Alice (in \\) Wonderland))", ["a.test"]),
        ("alice@(comment)a.test", ["a.test"]),
        ('"a lice"@a.test', ["a.test"]),
        ('"<eve@evil.test>"@a.test', ["a.test"]),
        ("=?utf-8?q?Al=C3=ADce_=3Ceve=40evil=2Etest=3E?= <alice@a.test>", ["a.test"]),
        ("Jürgen <j@bücher.example>", ["xn--bcher-kva.example"]),
        ("alice@sub_domain.a.test", ["sub_domain.a.test"]),
        ("alice@a.test, bob@b.test", ["a.test", "b.test"]),
        ("Alice <alice@a.test>, , bob@b.test,", ["a.test", "b.test"]),
        ("Both: alice@a.test, Bob <bob@b.test>;", ["a.test", "b.test"]),
        ("Nobody: ;", []),
        ("Nobody:;, alice@a.test", ["a.test"]),
        ("alice@[192.0.2.1]", [""]),
        ("", []),
    ],
)
def test_the_domains_that_a_from_field_names(text: str, domains: list[str]) -> None:
    assert [author.domain for author in parse_authors(text)] == domains


@pytest.mark.parametrize(
    "text",
    [
        "alice",
        "alice@",
        "@a.test",
        "alice@a@b.test",
        "alice@a.test bob@b.test",
        "alice @a.test eve",
        "Alice <alice@a.test> <eve@evil.test>",
        "Alice <alice@a.test> eve@evil.test",
        "<alice@a.test>eve",
        "<<alice@a.test>>",
        "<alice@a.test",
        "alice@a.test>",
        "Alice <eve@evil.test, alice@a.test>",
        "<@evil.test,@b.test:alice@a.test>",
        '"Alice <alice@a.test>',
        "alice@a.test (open",
        "alice@a.test)",
        "Group: alice@a.test",
        "Group: Inner: alice@a.test;;",
        "Group: alice@a.test; eve@evil.test",
        "alice@a..test",
        "alice.@a.test",
        "alice@a.test\x00",
        "alice@a.test\reve@evil.test",
        "alice@a.test; eve@evil.test",
        "alice\\@a.test",
        "[alice]@a.test",
        "a b@c.test",
        "x@straße.test",  # two readers, two domains (RFC 5895)
        "x@a\u200db.test",
        "a@a.test, " * 1000,
        "alice@a.te st",
    ],
)
def test_what_two_readers_could_read_differently_is_not_read(text: str) -> None:
    with pytest.raises(MessageError):
        parse_authors(text)


def test_a_message_has_one_from_field() -> None:
    assert authors(parse_headers(b"From: alice@a.test\r\n")) == (Author("alice", "a.test"),)
    for raw in (b"To: x@y.test\r\n", b"From: a@a.test\r\nFROM : b@b.test\r\n"):
        with pytest.raises(MessageError, match="From fields"):
            authors(parse_headers(raw))


@given(st.text(alphabet=st.sampled_from('ab@.,<>"():; \\[]\t\x00é'), max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_authors(text)
    except MessageError:
        return
    assert all("@" not in author.domain for author in found)


@given(
    st.lists(
        st.tuples(st.text(alphabet='ab ,@<>"(\\', max_size=8), st.sampled_from(["a.test", "b.c.test"])),
        max_size=3,
    )
)
def test_what_the_standard_library_reads_from_well_formed_text_we_read_too(
    people: list[tuple[str, str]],
) -> None:
    def quoted(name: str) -> str:
        return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'

    text = ", ".join(f"{quoted(name)} <alice@{domain}>" for name, domain in people)
    expected = [address.rpartition("@")[2] for _, address in getaddresses([text])]
    assert [author.domain for author in parse_authors(text)] == expected
