"""Whose message it says it is: the addresses in From (RFC 5322 §3.6.2, RFC 6854), read so that nobody can differ.

A display name may be as odd as it likes; an address may not, and what two readers could read differently is no From.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import msgspec

from mxfleet.errors import MessageError
from mxfleet.mail.message import Headers
from mxfleet.mail.names import canonical_name

MAX_FIELD: Final = 8192  # characters; a hundred authors fit, and nobody reads more
KEPT: Final = 200  # characters of one whose authors are kept
_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*+"
_PLAIN = re.compile(
    rf'(?:(?:[^"<>()\[\],:;@\\\x00-\x1f\x7f]*|[ \t]*"[^"\\\x00-\x1f\x7f]*"[ \t]*)<({_LOCAL})@([A-Za-z0-9._-]+)>'
    rf"|({_LOCAL})@([A-Za-z0-9._-]+))"
)
_TOKEN = re.compile(
    r'(?P<space>[ \t]+)|(?P<quoted>"(?:[^"\\]|\\.)*+")|(?P<literal>\[[^\[\]\\]*\])|(?P<special>[<>,:;@.])'
    r"|(?P<atom>[^ \t()<>\[\]:;@\\,.\"]+)"
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_END: Final = ("special", "")


class Author(msgspec.Struct, frozen=True):
    """One address of From: the local part as written, the domain canonical ("" for an address literal)."""

    local: str
    domain: str


def authors(headers: Headers) -> tuple[Author, ...]:
    """The addresses of the message's From field; MessageError unless it has one field that can be read.

    The field may name nobody: an empty group (RFC 6854) gives (). One of usual length is kept: it is asked for
    twice a message, and it comes again.
    """
    fields = headers.by_name.get(b"from", ())
    if len(fields) != 1:
        raise MessageError(f"the message has {len(fields)} From fields, there must be one (RFC 5322 §3.6)")
    text = fields[0].text
    return _kept_authors(text) if len(text) <= KEPT else parse_authors(text)


def parse_authors(text: str) -> tuple[Author, ...]:
    """The addresses of an address-list; MessageError where it is none."""
    if len(text) > MAX_FIELD:
        raise _unreadable(text, f"it is longer than {MAX_FIELD} characters")
    if match := _PLAIN.fullmatch(text):
        return (_author(match[1] or match[3], match[2] or match[4], text),)
    if _CONTROL.search(text):
        raise _unreadable(text, "it has control characters")
    return tuple(_Parser(text).addresses())


_kept_authors = lru_cache(maxsize=512)(parse_authors)


def _author(local: str, domain: str, text: str) -> Author:
    if domain.startswith("["):
        return Author(local, "")
    if not (name := canonical_name(domain)):
        raise _unreadable(text, f"{domain[:40]!r} is not a domain")
    return Author(local, name)


def _unreadable(text: str, why: str) -> MessageError:
    return MessageError(f"From: {text[:60]!r} cannot be read: {why}")


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [*self._tokenize(), _END]
        self._at = 0

    def addresses(self) -> Iterator[Author]:
        """RFC 5322 §3.4, address-list; empty elements are obsolete (§4.4) but harmless."""
        while True:
            yield from self._address(grouped=False)
            end = self._take()
            if end == "":
                return
            if end != ",":
                raise self._wrong(f"{end!r} where a comma belongs")

    def _address(self, *, grouped: bool) -> Iterator[Author]:
        begin = self._at
        while self._tokens[self._at] not in (_END, *(("special", mark) for mark in "<>,:;")):
            self._at += 1
        match self._tokens[self._at][1]:
            case "<":
                yield self._bracketed()
            case ":" if not grouped and self._words(begin):
                yield from self._group()
            case _ if words := self._words(begin):
                yield self._addr_spec(words)

    def _group(self) -> Iterator[Author]:
        self._take()
        while True:
            yield from self._address(grouped=True)
            end = self._take()
            if end == ";":
                break
            if end != ",":
                raise self._wrong("a group does not end")
        while self._tokens[self._at][0] == "space":
            self._at += 1
        if self._tokens[self._at] not in (_END, ("special", ",")):
            raise self._wrong("text behind a group")

    def _bracketed(self) -> Author:
        self._take()
        begin = self._at
        while self._tokens[self._at] not in (_END, ("special", ">"), ("special", "<")):
            self._at += 1
        words = self._words(begin)
        if self._take() != ">":
            raise self._wrong("an angle bracket does not end")
        behind = self._at
        while self._tokens[self._at] not in (_END, *(("special", mark) for mark in "<>,:;")):
            self._at += 1
        if self._words(behind) or self._tokens[self._at][1] in ("<", ">", ":"):
            raise self._wrong("text behind an angle bracket")
        return self._addr_spec(words)

    def _addr_spec(self, words: list[tuple[str, str]]) -> Author:
        """RFC 5322 §3.4.1: local-part "@" domain, each of words between dots."""
        marks = [at for at, word in enumerate(words) if word == ("special", "@")]
        if len(marks) != 1:
            raise self._wrong(f"an address with {len(marks)} at signs")
        local, domain = words[: marks[0]], words[marks[0] + 1 :]
        if not _dotted(local, ("atom", "quoted")) or not _dotted(domain, ("atom", "literal")):
            raise self._wrong("an address that is none")
        return _author("".join(word for _, word in local), "".join(word for _, word in domain), self._text)

    def _words(self, begin: int) -> list[tuple[str, str]]:
        """The tokens since `begin` without white space."""
        return [token for token in self._tokens[begin : self._at] if token[0] != "space"]

    def _take(self) -> str:
        """The special character that is next, "" at the end."""
        mark = self._tokens[self._at][1]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return mark

    def _tokenize(self) -> Iterator[tuple[str, str]]:
        at = 0
        while at < len(self._text):
            if self._text[at] == "(":
                at = self._behind_comment(at)
                yield "space", " "
                continue
            match = _TOKEN.match(self._text, at)
            if match is None or match.lastgroup is None:
                raise self._wrong(f"{self._text[at]!r} may not stand there")
            yield match.lastgroup, match[0]
            at = match.end()

    def _behind_comment(self, at: int) -> int:
        depth = 0
        while at < len(self._text):
            match self._text[at]:
                case "(":
                    depth += 1
                case ")":
                    depth -= 1
                    if not depth:
                        return at + 1
                case "\\":
                    at += 1
            at += 1
        raise self._wrong("a comment does not end")

    def _wrong(self, why: str) -> MessageError:
        return _unreadable(self._text, why)


def _dotted(words: list[tuple[str, str]], kinds: tuple[str, str]) -> bool:
    return len(words) % 2 == 1 and all(
        word[0] in kinds if at % 2 == 0 else word == ("special", ".") for at, word in enumerate(words)
    )
