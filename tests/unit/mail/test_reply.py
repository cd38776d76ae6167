"""Replies as values: rendering that nothing can break out of, parsing that nothing can break."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.errors import SmtpError
from mxfleet.mail.reply import MAX_REPLY_LINE, Reply, ReplyParser


def parse(octets: bytes) -> list[Reply]:
    parser = ReplyParser()
    parser.feed(octets)
    replies = []
    while (reply := parser.next_reply()) is not None:
        replies.append(reply)
    return replies


def test_a_reply_is_one_line() -> None:
    assert Reply(250, "2.1.0", "OK").render() == b"250 2.1.0 OK\r\n"
    assert Reply(354, "", "go").render() == b"354 go\r\n"
    assert Reply(250, "", "").render() == b"250 \r\n"


def test_lines_of_text_are_lines_of_the_reply_each_with_its_codes() -> None:
    assert Reply(550, "5.7.1", "no\nnever").render() == b"550-5.7.1 no\r\n550 5.7.1 never\r\n"


def test_whatever_the_text_holds_only_one_reply_comes_out() -> None:
    assert Reply(550, "5.1.1", "no\r\n250 yes").render() == b"550-5.1.1 no\r\n550 5.1.1 250 yes\r\n"
    assert Reply(550, "5.1.1", "caf\u00e9\x00\t").render() == b"550 5.1.1 caf???\r\n"


def test_utf8_is_for_those_who_said_that_they_take_it() -> None:
    assert Reply(550, "5.1.1", "Grüße\x07\u2028x").render(utf8=True) == (
        "550-5.1.1 Grüße?\r\n550 5.1.1 x\r\n".encode()
    )
    assert Reply(250, "2.0.0", "Grüße").render() == b"250 2.0.0 Gr??e\r\n"


@given(st.text(max_size=600))
def test_a_reply_in_utf8_is_cut_between_characters(text: str) -> None:
    octets = Reply(250, "2.0.0", text).render(utf8=True)
    lines = octets.split(b"\r\n")
    assert all(len(line) + 2 <= MAX_REPLY_LINE for line in lines)
    assert all(line.decode("utf-8").isprintable() and line.startswith(b"250") for line in lines[:-1])
    assert lines[-1] == b""


@given(st.sampled_from([(250, "2.0.0"), (451, "4.3.0"), (550, ""), (220, "")]), st.text(max_size=2000))
def test_what_is_rendered_parses_as_exactly_one_reply_within_the_limits(
    codes: tuple[int, str], text: str
) -> None:
    octets = Reply(*codes, text).render()
    assert all(len(line) + 2 <= MAX_REPLY_LINE for line in octets.split(b"\r\n"))
    assert re.fullmatch(rb"(?:[ -~]*\r\n)+", octets)
    (reply,) = parse(octets)
    assert reply.code == codes[0]


@given(st.binary(max_size=300), st.integers(1, 20))
def test_any_octets_are_replies_or_an_error_however_they_are_cut(octets: bytes, size: int) -> None:
    def outcome(pieces: list[bytes]) -> list[Reply | str]:
        parser, found = ReplyParser(max_line=64, max_lines=4), list[Reply | str]()
        try:
            for piece in pieces:
                parser.feed(piece)
                while (reply := parser.next_reply()) is not None:
                    found.append(reply)
        except SmtpError as error:
            found.append(re.sub(r"'.*", "", error.message))
        return found

    whole = outcome([octets])
    assert all(isinstance(part, Reply) for part in whole[:-1])
    cut = outcome([octets[at : at + size] for at in range(0, len(octets), size)])
    replies = [part for part in whole if isinstance(part, Reply)]
    assert [part for part in cut if isinstance(part, Reply)] == replies


def test_codes_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(SmtpError, match="the classes differ"):
        Reply(550, "2.1.0", "x")
    with pytest.raises(SmtpError, match="not between"):
        Reply(199, "", "x")


def test_a_reply_says_what_it_means() -> None:
    assert Reply(250, "", "").positive
    assert Reply(354, "", "").positive
    assert Reply(451, "", "").temporary
    assert not Reply(451, "", "").positive
    assert Reply(550, "", "").permanent
    assert str(Reply(550, "5.1.1", "no\nuser")) == "550 5.1.1 no user"


def test_replies_are_parsed_with_their_enhanced_codes() -> None:
    assert parse(b"250-2.1.0 a\r\n250 2.1.0 b\r\n220 x\r\n") == [
        Reply(250, "2.1.0", "a\nb"),
        Reply(220, "", "x"),
    ]
    assert parse(b"250\r\n") == [Reply(250, "", "")]
    assert parse(b"550 5.1.1\r\n") == [Reply(550, "5.1.1", "")]
    assert parse(b"550 5.1.10 x\n") == [Reply(550, "5.1.10", "x")]


def test_an_enhanced_code_of_another_class_is_only_text() -> None:
    assert parse(b"550 2.0.0 fine\r\n") == [Reply(550, "", "2.0.0 fine")]


@pytest.mark.parametrize(
    "octets",
    [
        b"hello\r\n",
        b"25 x\r\n",
        b"150 x\r\n",
        b"650 x\r\n",
        b"250x\r\n",
        b"250-a\r\n251 b\r\n",
        b"250-a\r\n\r\n",
        b"\r\n",
        b"250 " + b"x" * 5000,
        b"250 " + b"x" * 5000 + b"\r\n",
        b"250-x\r\n" * 300,
    ],
)
def test_what_is_no_reply_is_an_error(octets: bytes) -> None:
    with pytest.raises(SmtpError):
        parse(octets)


def test_the_parser_knows_what_it_has_not_given_out() -> None:
    parser = ReplyParser()
    parser.feed(b"220 a\r\n250")
    assert parser.next_reply() == Reply(220, "", "a")
    assert parser.pending
    parser.feed(b" b\r\n")
    assert parser.next_reply() == Reply(250, "", "b")
    assert not parser.pending
