"""SASL mechanisms of the server side (RFC 4954): PLAIN (RFC 4616) and LOGIN.

A mechanism is a value with one method, so that one with more steps (SCRAM) is one more class here.
"""

from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from mxfleet.mail.smtp import replies
from mxfleet.mail.smtp.events import Auth
from mxfleet.mail.smtp.replies import Refusal


@dataclass(frozen=True, slots=True)
class Challenge:
    """The server's next line, before base64, and the mechanism that takes the client's response to it."""

    text: bytes
    then: "Mechanism"


Step: TypeAlias = Challenge | Auth


class Mechanism(Protocol):
    """One state of an exchange."""

    def respond(self, response: bytes | None) -> Step:
        """Take the client's response; None where AUTH came without an initial response."""


@dataclass(frozen=True, slots=True)
class Plain:
    """RFC 4616: authorization identity, NUL, user, NUL, password."""

    def respond(self, response: bytes | None) -> Step:
        """Credentials, or an empty challenge where there was no initial response."""
        if response is None:
            return Challenge(b"", self)
        parts = _text(response).split("\0")
        if len(parts) != 3 or not parts[1]:
            raise Refusal(replies.AUTH_ENCODING)
        identity, username, password = parts
        if identity not in ("", username):
            raise Refusal(replies.OTHER_IDENTITY)
        return Auth("PLAIN", username, password)


@dataclass(frozen=True, slots=True)
class Login:
    """The undocumented mechanism that old clients want: user, then password, each asked for."""

    username: str | None = None

    def respond(self, response: bytes | None) -> Step:
        """Ask for the user, then for the password."""
        if response is None:
            return Challenge(b"Username:", self)
        text = _text(response)
        if "\0" in text:
            raise Refusal(replies.AUTH_ENCODING)
        if self.username is None:
            if not text:
                raise Refusal(replies.AUTH_ENCODING)
            return Challenge(b"Password:", Login(text))
        return Auth("LOGIN", self.username, text)


MECHANISMS: Final[dict[str, Mechanism]] = {"PLAIN": Plain(), "LOGIN": Login()}


def decode(text: str) -> bytes:
    """Strict base64 of one response line (RFC 4954 §4, RFC 4648 §4)."""
    try:
        return a2b_base64(text.encode("ascii"), strict_mode=True) if text else b""
    except (NotBase64, UnicodeEncodeError) as error:
        raise Refusal(replies.AUTH_ENCODING) from error


def encode(data: bytes) -> bytes:
    """Base64 on one line."""
    return b2a_base64(data, newline=False)


def _text(response: bytes) -> str:
    try:
        return response.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(replies.AUTH_ENCODING) from error
