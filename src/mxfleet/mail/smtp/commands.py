"""The arguments of SMTP commands (RFC 5321 §4.1.1, §4.1.2): text in, values out, or Refusal."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, TypeAlias

from mxfleet.errors import AddressError
from mxfleet.mail.address import parse_forward_path, parse_reverse_path
from mxfleet.mail.smtp import replies
from mxfleet.mail.smtp.events import Body, Hello, MailFrom, RcptTo
from mxfleet.mail.smtp.notification import (
    NO_MAIL_DSN,
    MailDsn,
    RcptDsn,
    is_envid,
    is_notify,
    is_orcpt,
    is_ret,
)
from mxfleet.mail.smtp.reception import Chunk
from mxfleet.mail.smtp.replies import Breach, Refusal
from mxfleet.mail.xtext import XTEXT

Parameters: TypeAlias = Mapping[str, str]
"""ESMTP parameters: keyword in upper case, value or ""."""

Check: TypeAlias = Callable[[str], bool]
"""Whether a parameter may have this value."""

_PATH = r'<((?:[^<>"\\ ]++|"(?:[^"\\]++|\\.)*+")*+)>'
_MAIL = re.compile(rf"FROM:{_PATH}(?: (.*))?", re.IGNORECASE)
_RCPT = re.compile(rf"TO:{_PATH}(?: (.*))?", re.IGNORECASE)
# RFC 5321 §4.1.2, esmtp-param; its value may be UTF-8 (RFC 6531 §3.3).
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~\u00a0-\U0010ffff]+))?")
_CHUNK = re.compile(r"([0-9]{1,20})(?: (LAST))?", re.IGNORECASE)
_HELLO = re.compile(r"[!-~]{1,255}")


def is_size(value: str) -> bool:
    """RFC 1870 §4: 1 to 20 digits."""
    return value.isascii() and value.isdigit() and len(value) <= 20


def is_body(value: str) -> bool:
    """RFC 6152 §3."""
    return value.upper() in ("7BIT", "8BITMIME")


def is_xtext_mailbox(value: str) -> bool:
    """RFC 4954 §5: `<>` or a mailbox in xtext; nobody trusts it, so its inside is not looked at."""
    return value != "" and XTEXT.fullmatch(value) is not None


def is_nothing(value: str) -> bool:
    """A keyword that takes no value (RFC 6531 §3.4)."""
    return value == ""


NONE: Final[Mapping[str, Check]] = {}
_NONE_SAID: Final[Parameters] = {}
MAIL_PARAMETERS: Final[Mapping[str, Check]] = {"SIZE": is_size, "BODY": is_body}
RCPT_DSN: Final[Mapping[str, Check]] = {"NOTIFY": is_notify, "ORCPT": is_orcpt}


@cache
def mail_parameters(auth: bool, smtputf8: bool, dsn: bool) -> Mapping[str, Check]:
    """What MAIL may have behind its path, where these extensions are offered."""
    return {
        **MAIL_PARAMETERS,
        **({"AUTH": is_xtext_mailbox} if auth else {}),
        **({"SMTPUTF8": is_nothing} if smtputf8 else {}),
        **({"RET": is_ret, "ENVID": is_envid} if dsn else {}),
    }


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
    parameters = parse_parameters(match[2], allowed) if match[2] is not None else _NONE_SAID
    if "SMTPUTF8" not in parameters and not argument.isascii():
        raise Refusal(replies.UTF8_NOT_SAID)
    if not parameters:
        return MailFrom(reverse_path)
    body: Body = "8BITMIME" if parameters.get("BODY", "").upper() == "8BITMIME" else "7BIT"
    dsn = NO_MAIL_DSN
    if "RET" in parameters or "ENVID" in parameters:
        dsn = MailDsn(parameters.get("RET", "").upper(), parameters.get("ENVID", ""))
    size = int(parameters.get("SIZE", 0))
    return MailFrom(reverse_path, size, body, parameters, "SMTPUTF8" in parameters, dsn)


def parse_rcpt(argument: str, allowed: Mapping[str, Check] = NONE) -> RcptTo:
    """`TO:<forward-path> [parameters]` (RFC 5321 §4.1.1.3)."""
    match = _RCPT.fullmatch(argument)
    if match is None:
        raise Refusal(replies.RCPT_SYNTAX)
    try:
        mailbox = parse_forward_path(match[1])
    except AddressError as error:
        raise Refusal(replies.BAD_RECIPIENT) from error
    if match[2] is None:
        return RcptTo(mailbox)
    parameters = parse_parameters(match[2], allowed)
    dsn = RcptDsn(parameters.get("NOTIFY", "").upper(), parameters.get("ORCPT", ""))
    return RcptTo(mailbox, parameters, dsn)


def parse_chunk(argument: str) -> Chunk:
    """The argument of BDAT (RFC 3030 §2).

    The session ends where it cannot be read: what follows is a message or commands, and nobody knows which.
    """
    match = _CHUNK.fullmatch(argument)
    if match is None:
        raise Breach(replies.BDAT_SYNTAX)
    return Chunk(int(match[1]), last=match[2] is not None)


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
    return found
