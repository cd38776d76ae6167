"""What a sender wants to be told (RFC 3461): the parameters RET, ENVID, NOTIFY and ORCPT.

The values are kept as they were said, because that is how they are passed on (RFC 3461 §5.2.1); `mail.dsn` reads
their meaning.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mxfleet.errors import AddressError
from mxfleet.mail import xtext

# RFC 3461 §4: how much longer MAIL and RCPT may become.
MAX_ENVID: Final = 100
MAX_ORCPT: Final = 500
NOTIFY_WORDS: Final = frozenset({"SUCCESS", "FAILURE", "DELAY"})
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")  # RFC 3464 §2.1.2, an IANA registered atom


@dataclass(frozen=True, slots=True)
class MailDsn:
    """RET (`FULL`, `HDRS`, "" where not said) and ENVID (xtext)."""

    ret: str = ""
    envid: str = ""


@dataclass(frozen=True, slots=True)
class RcptDsn:
    """NOTIFY (`NEVER`, or words with commas between them, "" where not said) and ORCPT (`type;xtext`)."""

    notify: str = ""
    orcpt: str = ""


NO_MAIL_DSN: Final = MailDsn()
NO_RCPT_DSN: Final = RcptDsn()


def is_ret(value: str) -> bool:
    """RFC 3461 §4.3."""
    return value.upper() in ("FULL", "HDRS")


def is_envid(value: str) -> bool:
    """RFC 3461 §4.4: xtext of printable ASCII."""
    return 0 < len(value) <= MAX_ENVID and _means(xtext.decode, value)


def is_notify(value: str) -> bool:
    """RFC 3461 §4.1: NEVER alone, or a list of the others."""
    words = value.upper().split(",")
    return words == ["NEVER"] or NOTIFY_WORDS.issuperset(words)


def is_orcpt(value: str) -> bool:
    """RFC 3461 §4.2; for the type utf-8 also RFC 6533 §3."""
    kind, semicolon, address = value.partition(";")
    if not semicolon or not address or len(value) > MAX_ORCPT or not _ADDRESS_TYPE.fullmatch(kind):
        return False
    return _means(xtext.decode_utf8 if kind.lower() == "utf-8" else xtext.decode, address)


def mail_words(dsn: MailDsn) -> str:
    """The parameters as they stand behind MAIL's path, "" where there are none."""
    return (f" RET={dsn.ret}" if dsn.ret else "") + (f" ENVID={dsn.envid}" if dsn.envid else "")


def rcpt_words(dsn: RcptDsn, *, utf8: bool) -> str:
    """The parameters as they stand behind RCPT's path; without `utf8` in ASCII (RFC 6533 §3)."""
    orcpt = dsn.orcpt
    if not (utf8 or orcpt.isascii()):
        kind, _, address = orcpt.partition(";")
        orcpt = f"{kind};{xtext.encode_utf8(xtext.decode_utf8(address))}"
    return (f" NOTIFY={dsn.notify}" if dsn.notify else "") + (f" ORCPT={orcpt}" if orcpt else "")


def _means(decode: Callable[[str], str], value: str) -> bool:
    """Whether it can be decoded, and hides no control character."""
    try:
        return _CONTROL.search(decode(value)) is None
    except AddressError:
        return False
