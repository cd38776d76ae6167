"""Values of what others said, written into header fields so that they stay values: quoted, ASCII, on folded lines."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

LINE: Final = 78  # RFC 5322 §2.1.1: characters of a line, where it can be
MAX_WORDS: Final = (
    200  # characters of an explanation; a line ends at 998 (RFC 5322 §2.1.1), wherever it folds
)
_TOKEN = re.compile(r"[!#$%&'*+.0-9A-Z^_`a-z{|}~-]+")  # RFC 2045 §5.1
_MAILBOX = re.compile(r"(?:[!#$%&'*+/=?^_`{|}~0-9A-Za-z-][!#$%&'*+/=?^_`{|}~.0-9A-Za-z-]*)?@[0-9A-Za-z.-]+")
_PAIR = re.compile(r"\\(.)", re.DOTALL)


@lru_cache(maxsize=1024)  # domains, selectors and words come again and again
def quoted(value: str) -> str:
    """A value as a token, a mailbox, or else a quoted string; what is not printable ASCII becomes `?`."""
    if _TOKEN.fullmatch(value) or _MAILBOX.fullmatch(value):
        return value
    printable = "".join(c if " " <= c <= "~" else "?" for c in value)
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquoted(text: str) -> str:
    """What a token or quoted string means."""
    return _PAIR.sub(r"\1", text[1:-1]) if text.startswith('"') else text


def fold(name: str, *groups: Iterable[str]) -> bytes:
    """A header field of words with blanks between them; each group begins a line, and so does what is too long."""
    lines, line = list[str](), f"{name}: "
    for number, group in enumerate(groups):
        if number:
            lines.append(line)
            line = "\t"
        words = list(group)
        whole = " ".join(words)
        if len(line) + len(whole) <= LINE:
            line += whole
            continue
        line += words[0]
        for word in words[1:]:
            if len(line) + len(word) < LINE:
                line += " " + word
            else:
                lines.append(line)
                line = "\t" + word
    return ("\r\n".join([*lines, line]) + "\r\n").encode("ascii")
