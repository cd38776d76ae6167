"""Values of what others said, written into header fields so that they stay values: quoted, ASCII, on folded lines."""

import re
from functools import lru_cache
from typing import Final

from mxfleet.mail.questions import Address
from mxfleet.mail.reply import printable

LINE: Final = 78  # RFC 5322 §2.1.1: characters of a line, where it can be
MAX_WORDS: Final = (
    200  # characters of an explanation; a line ends at 998 (RFC 5322 §2.1.1), wherever it folds
)
_TOKEN = re.compile(r"[!#$%&'*+.0-9A-Z^_`a-z{|}~-]+")  # RFC 2045 §5.1
_MAILBOX = re.compile(r"(?:[!#$%&'*+/=?^_`{|}~0-9A-Za-z-][!#$%&'*+/=?^_`{|}~.0-9A-Za-z-]*)?@[0-9A-Za-z.-]+")
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"  # a blank of a value, until the field is folded
_GOES_ON: Final = "\r\n\t"


@lru_cache(maxsize=1024)  # domains, selectors and words come again and again
def quoted(value: str) -> str:
    """A value as a token, a mailbox, or else a quoted string, for `fold`; what is not printable ASCII becomes `?`."""
    if _TOKEN.fullmatch(value) or _MAILBOX.fullmatch(value):
        return value
    escaped = printable(value).replace("\\", "\\\\").replace('"', '\\"').replace(" ", _NO_BREAK)
    return f'"{escaped}"'


@lru_cache(maxsize=256)  # all messages of a session have the same
def address_text(address: Address) -> str:
    """An IP address as everybody writes it."""
    return str(address)


def unquoted(text: str) -> str:
    """What a token or quoted string means."""
    return _PAIR.sub(r"\1", text[1:-1]) if text.startswith('"') else text


def fold(name: str, first: str, *more: str) -> bytes:
    """A header field; each text begins a line, and one that is too long goes on in the next, where a blank is."""
    room = LINE - len(name) - 2
    lines = [first if len(first) <= room else _broken(first, room)]
    lines += [text if len(text) < LINE else _broken(text, LINE - 1) for text in more]
    return f"{name}: {_GOES_ON.join(lines)}\r\n".replace(_NO_BREAK, " ").encode("ascii")


def _broken(text: str, room: int) -> str:
    """On lines, the first of so many characters; a longer word stays whole."""
    lines, begin = [], 0
    while len(text) - begin > room:
        end = text.rfind(" ", begin, begin + room + 1)
        if end < 0 and (end := text.find(" ", begin)) < 0:
            break
        lines.append(text[begin:end])
        begin, room = end + 1, LINE - 1
    return _GOES_ON.join([*lines, text[begin:]])
