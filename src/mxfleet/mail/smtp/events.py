"""What the server engine reports: questions that the driver answers, and notices that it may log.

A question pauses the engine until `Server.accept()` or `Server.answer(reply)`; a notice pauses nothing.

They are msgspec's, which are made in a tenth of a frozen dataclass's time; `Auth` is not, for its repr hides something.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, TypeAlias

import msgspec

from mxfleet.mail.address import Mailbox, ReversePath
from mxfleet.mail.reply import Reply
from mxfleet.mail.smtp.notification import NO_MAIL_DSN, NO_RCPT_DSN, MailDsn, RcptDsn

Body: TypeAlias = Literal["7BIT", "8BITMIME"]


class Idle(Enum):
    """Why `next_event` has nothing: more octets are needed, or an answer is."""

    NEED_INPUT = "need input"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class TlsInfo:
    """What the TLS handshake came to: protocol (`TLSv1.3`), cipher suite, server name asked for or ""."""

    version: str
    cipher: str
    server_name: str = ""


class Hello(msgspec.Struct, frozen=True):
    """Question: EHLO (`extended`) or HELO; the name is what the client said, printable and without spaces."""

    name: str
    extended: bool


class StartTls(msgspec.Struct, frozen=True):
    """Question: after accept() send `output()`, start the handshake, then call `tls_established`."""


@dataclass(frozen=True, slots=True)
class Auth:
    """Question: are these credentials right? Answer with 535 5.7.8 where not."""

    mechanism: str
    username: str
    password: str = field(repr=False)


class MailFrom(msgspec.Struct, frozen=True):
    """Question: a transaction begins; `size` is the declared size in octets, 0 where not declared.

    `utf8` says that addresses and header fields may be UTF-8 (SMTPUTF8, RFC 6531).
    """

    reverse_path: ReversePath
    size: int = 0
    body: Body = "7BIT"
    parameters: Mapping[str, str] = {}
    utf8: bool = False
    dsn: MailDsn = NO_MAIL_DSN


class RcptTo(msgspec.Struct, frozen=True):
    """Question: one recipient; `<postmaster>` has no domain."""

    mailbox: Mailbox
    parameters: Mapping[str, str] = {}
    dsn: RcptDsn = NO_RCPT_DSN


class DataStart(msgspec.Struct, frozen=True):
    """Question: the message is about to come, by DATA or BDAT, for the recipients that were accepted."""

    mail: MailFrom
    recipients: tuple[RcptTo, ...]


class DataChunk(msgspec.Struct, frozen=True):
    """Notice: a piece of the message, unstuffed, with CRLF line endings; pieces end anywhere.

    The last one ends in CRLF, however the message came.
    """

    data: bytes


class MessageComplete(msgspec.Struct, frozen=True):
    """Question: the whole message was received; a positive answer takes responsibility for it."""

    size: int


class Reset(msgspec.Struct, frozen=True):
    """Notice: the transaction in progress is over without a message; drop what belongs to it."""


class Refused(msgspec.Struct, frozen=True):
    """Notice: the engine refused a command itself, with this reply."""

    command: str
    reply: Reply


CloseReason: TypeAlias = Literal[
    "quit", "disconnected", "timeout", "protocol", "errors", "shutdown", "refused"
]


class Closed(msgspec.Struct, frozen=True):
    """Notice, the last one: send `output()`, then close; whatever was not answered positively is dropped."""

    reason: CloseReason
    detail: str = ""


Question: TypeAlias = Hello | StartTls | Auth | MailFrom | RcptTo | DataStart | MessageComplete
Notice: TypeAlias = DataChunk | Reset | Refused | Closed
Event: TypeAlias = Question | Notice
