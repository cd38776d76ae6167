"""The Authentication-Results field (RFC 8601 §2.2): what a verifier found, read back strictly."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from mxfleet.errors import MessageError

_SPACE: Final = " \t\r\n"
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_WORD = re.compile(r'[^\s;()"=]+')
# Values are wider than RFC 8601's pvalue: rspamd and others write base64 there without quoting it.
_VALUE = re.compile(r'[^\s;()"]+')
_METHOD = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:/([0-9]+))?")
_PROPERTY = re.compile(r"[A-Za-z0-9-]+\.[A-Za-z0-9_-]+")


class MethodResult(msgspec.Struct, frozen=True):
    """One method's result, both in lower case: `spf` and `pass`; properties as `smtp.mailfrom` → value."""

    method: str
    result: str
    reason: str = ""
    properties: Mapping[str, str] = msgspec.field(default_factory=dict)


class AuthenticationResults(msgspec.Struct, frozen=True):
    """Who checked (the authserv-id), and what came out, in the order of the field."""

    authserv_id: str
    results: tuple[MethodResult, ...]

    def of(self, method: str) -> tuple[MethodResult, ...]:
        """The results of one method; DKIM has one for each signature."""
        return tuple(result for result in self.results if result.method == method)

    def verdict(self, method: str) -> str:
        """`pass` where any result of the method is, else its first result, else `none`."""
        results = [result.result for result in self.of(method)]
        if "pass" in results:
            return "pass"
        return results[0] if results else "none"


def parse(text: str) -> AuthenticationResults:
    """Read a field's body; MessageError where it is not what RFC 8601 §2.2 says.

    Whether to believe it is another question: only fields with the name of a host that one trusts count,
    and that host must remove forged ones.
    """
    reader = _Reader(text)
    authserv_id = reader.value()
    if not authserv_id:
        raise reader.error("no name of who checked")
    if reader.peek() not in ("", ";") and reader.word() != "1":
        raise reader.error("a version other than 1")
    results: list[MethodResult] = []
    while reader.take(";"):
        if reader.peek() == "" and results:
            break  # a semicolon at the end is common
        found = _method_result(reader)
        if found is not None:
            results.append(found)
        elif results or reader.peek():
            raise reader.error("none beside results")
    if reader.peek():
        raise reader.error("text where a semicolon belongs")
    return AuthenticationResults(authserv_id.lower(), tuple(results))


def read_authserv_id(text: str) -> str:
    """Who a field that may be broken says has written it, in lower case; "" where nobody can tell."""
    try:
        return _Reader(text).value().lower()
    except MessageError:
        return ""


def _method_result(reader: "_Reader") -> MethodResult | None:
    word = reader.word()
    if word.lower() == "none" and reader.peek() != "=":
        return None
    match = _METHOD.fullmatch(word)
    if match is None or not reader.take("="):
        raise reader.error(f"no method and result at {word[:20]!r}")
    result, reason, properties = reader.word().lower(), "", dict[str, str]()
    while reader.peek() not in ("", ";"):
        name = reader.word().lower()
        if not reader.take("="):
            raise reader.error(f"{name[:20]!r} without a value")
        if name == "reason" and not reason:
            reason = reader.value()
        elif _PROPERTY.fullmatch(name):
            properties.setdefault(name, reader.value())
        else:
            raise reader.error(f"{name[:20]!r} is no property")
    return MethodResult(match[1].lower(), result, reason, properties)


class _Reader:
    """Takes tokens off the text; white space and comments (RFC 5322 §3.2.2) stand between any two."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def error(self, why: str) -> MessageError:
        return MessageError(f"Authentication-Results: {why}, at octet {self._at}")

    def peek(self) -> str:
        """The next character that counts, "" at the end."""
        self._skip()
        return self._text[self._at : self._at + 1]

    def take(self, character: str) -> bool:
        """Take it, if it is next."""
        found = self.peek() == character
        self._at += found
        return found

    def word(self) -> str:
        return self._match(_WORD)

    def value(self) -> str:
        """A quoted string, or whatever has no white space in it."""
        if self.peek() != '"':
            return self._match(_VALUE)
        match = _QUOTED.match(self._text, self._at)
        if match is None:
            raise self.error("a quoted string that does not end")
        self._at = match.end()
        return _PAIR.sub(r"\1", match[1])

    def _match(self, pattern: re.Pattern[str]) -> str:
        self._skip()
        match = pattern.match(self._text, self._at)
        if match is None:
            raise self.error("a word is missing")
        self._at = match.end()
        return match[0]

    def _skip(self) -> None:
        depth = 0
        while self._at < len(self._text):
            character = self._text[self._at]
            if character == "(":
                depth += 1
            elif character == ")" and depth:
                depth -= 1
            elif character == "\\" and depth:
                self._at += 1
            elif not depth and character not in _SPACE:
                return
            self._at += 1
        if depth:
            raise self.error("a comment that does not end")
