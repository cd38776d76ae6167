"""Header fields that an MTA writes (RFC 5321 §4.4, RFC 6409 §8): values in, folded octets out."""

import re
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache

import msgspec

from mxfleet.errors import MessageError
from mxfleet.mail.address import Mailbox, ReversePath, path
from mxfleet.mail.message import Headers
from mxfleet.mail.smtp.events import TlsInfo

_UNSAFE = re.compile(r'[^!-~]|[()<>;\\"]')


class Received(msgspec.Struct, frozen=True):
    """One hop (RFC 5321 §4.4): what the client said, where it was, who we are, when.

    `address` is the client's IP address as text; `reverse_name` its verified name, "" where there is none;
    `recipient` is for messages with exactly one, for else it would disclose the others.
    """

    by: str
    hello: str
    address: str
    protocol: str
    trace: str
    date: datetime
    reverse_name: str = ""
    tls: TlsInfo | None = None
    recipient: Mailbox | None = None

    def render(self) -> bytes:
        """The field, folded, CRLF at its end; UTF-8 where the recipient's address is."""
        peer = f"{self.reverse_name or 'unknown'} [{_tagged(self.address)}]"
        text = (
            f"Received: from {_token(self.hello)} ({peer})\r\n"
            f"\tby {self.by} with {self.protocol} id {self.trace}"
        )
        if self.tls is not None:
            text += f" (using {_token(self.tls.version)} with cipher {_token(self.tls.cipher)})"
        if self.recipient is not None:
            text += f"\r\n\tfor {path(self.recipient)}"
        return f"{text};\r\n\t{format_date(self.date)}\r\n".encode()  # UTF-8: RFC 6531 §3.7.3


def return_path(reverse_path: ReversePath) -> bytes:
    """The Return-Path field of final delivery (RFC 5321 §4.4)."""
    return f"Return-Path: {path(reverse_path)}\r\n".encode()


@lru_cache(maxsize=16)  # a busy service writes the same second many times
def format_date(moment: datetime) -> str:
    """RFC 5322 §3.3; MessageError for a time without a zone."""
    if moment.tzinfo is None:
        raise MessageError(f"date {moment.isoformat()}: it has no time zone")
    return format_datetime(moment)


def missing_for_submission(headers: Headers, *, date: datetime, message_id: str) -> bytes:
    """The Date and Message-ID fields that a submitted message lacks (RFC 6409 §8.2, §8.3).

    `message_id` is the id without its angle brackets.
    """
    fields = []
    if not headers.count("Date"):
        fields.append(f"Date: {format_date(date)}\r\n")
    if not headers.count("Message-ID"):
        fields.append(f"Message-ID: <{message_id}>\r\n")
    return "".join(fields).encode("ascii")


def _tagged(address: str) -> str:
    return f"IPv6:{address}" if ":" in address else address  # RFC 5321 §4.1.3


def _token(said: str) -> str:
    """What a client said, without what would end a comment or begin another clause."""
    return _UNSAFE.sub("?", said) or "?"
