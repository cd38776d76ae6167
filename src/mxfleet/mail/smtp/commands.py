"""The arguments of SMTP commands (RFC 5321 §4.1.1, §4.1.2): text in, values out, or Refusal."""

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from mxfleet.errors import AddressError
from mxfleet.mail.address import parse_forward_path, parse_reverse_path
from mxfleet.mail.smtp import replies
from mxfleet.mail.smtp.events import Body, Hello, MailFrom, RcptTo
from mxfleet.mail.smtp.replies import Refusal

Parameters: TypeAlias = Mapping[str, str]
"""ESMTP parameters: keyword in upper case, value or ""."""

Check: TypeAlias = Callable[[str], bool]
"""Whether a parameter may have this value."""

_PATH = r'<((?:[^<>"\\ ]|"(?:[^"\\]|\\.)*+")*+)>'
_MAIL = re.compile(rf"FROM:{_PATH}(?: (.*))?", re.IGNORECASE)
_RCPT = re.compile(rf"TO:{_PATH}(?: (.*))?", re.IGNORECASE)
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~]+))?")  # RFC 5321 §4.1.2, esmtp-param
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")  # RFC 3461 §4
_HELLO = re.compile(r"[!-~]{1,255}")


def is_size(value: str) -> bool:
    """RFC 1870 §4: 1 to 20 digits."""
    return value.isascii() and value.isdigit() and len(value) <= 20


def is_body(value: str) -> bool:
    """RFC 6152 §3."""
    return value.upper() in ("7BIT", "8BITMIME")


def is_xtext_mailbox(value: str) -> bool:
    """RFC 4954 §5: `<>` or a mailbox in xtext; nobody trusts it, so its inside is not looked at."""
    return _XTEXT.fullmatch(value) is not None


MAIL_PARAMETERS: Final[Mapping[str, Check]] = {"SIZE": is_size, "BODY": is_body}
MAIL_PARAMETERS_WITH_AUTH: Final[Mapping[str, Check]] = {**MAIL_PARAMETERS, "AUTH": is_xtext_mailbox}
NO_PARAMETERS: Final[Mapping[str, Check]] = {}
_NONE: Final[Parameters] = {}


def parse_hello(argument: str, *, extended: bool) -> Hello:
    """The argument of EHLO or HELO.

    Any printable word is taken: RFC 5321 §4.1.4 does not let us refuse mail over a wrong name.
    """
    if not _HELLO.fullmatch(argument):
        raise Refusal(replies.HELO_ARGUMENT)
    return Hello(argument, extended)


def parse_mail(argument: str, allowed: Mapping[str, Check] = MAIL_PARAMETERS) -> MailFrom:
    """`FROM:<reverse-path> [parameters]` (RFC 5321 §4.1.1.2)."""
    match = _MAIL.fullmatch(argument)
    if match is None:
        raise Refusal(replies.MAIL_SYNTAX)
    try:
        reverse_path = parse_reverse_path(match[1])
    except AddressError as error:
        raise Refusal(replies.BAD_SENDER) from error
    if match[2] is None:
        return MailFrom(reverse_path)
    parameters = parse_parameters(match[2], allowed)
    body: Body = "8BITMIME" if parameters.get("BODY", "").upper() == "8BITMIME" else "7BIT"
    return MailFrom(reverse_path, int(parameters.get("SIZE", 0)), body, parameters)


def parse_rcpt(argument: str, allowed: Mapping[str, Check] = NO_PARAMETERS) -> RcptTo:
    """`TO:<forward-path> [parameters]` (RFC 5321 §4.1.1.3)."""
    match = _RCPT.fullmatch(argument)
    if match is None:
        raise Refusal(replies.RCPT_SYNTAX)
    try:
        mailbox = parse_forward_path(match[1])
    except AddressError as error:
        raise Refusal(replies.BAD_RECIPIENT) from error
    return RcptTo(mailbox) if match[2] is None else RcptTo(mailbox, parse_parameters(match[2], allowed))


def parse_parameters(text: str, allowed: Mapping[str, Check]) -> Parameters:
    """ESMTP parameters, each known and none twice (RFC 5321 §4.1.1.11: 555 for those not recognized)."""
    found: dict[str, str] = {}
    for word in text.split(" "):
        match = _PARAMETER.fullmatch(word)
        if match is None:
            raise Refusal(replies.BAD_PARAMETER)
        keyword, value = match[1].upper(), match[2] or ""
        if keyword not in allowed:
            raise Refusal(replies.UNKNOWN_PARAMETER)
        if keyword in found:
            raise Refusal(replies.REPEATED_PARAMETER)
        if not allowed[keyword](value):
            raise Refusal(replies.BAD_PARAMETER)
        found[keyword] = value
    return found or _NONE
