"""Tag lists, `tag=value; tag=value` (RFC 6376 §3.2), as signatures and key records use them."""

from typing import Final

from mxfleet.errors import MailError

# So that nobody asks letter by letter for those of signatures and key records.
_USUAL: Final = frozenset(("v", "a", "b", "bh", "c", "cv", "d", "h", "i", "k", "l", "p", "q", "s", "t", "x"))


def parse_tags(text: str) -> dict[str, str]:
    """The tags in order, values stripped; MailError for a list that is none, or a tag given twice."""
    tags: dict[str, str] = {}
    parts = text.split(";")
    if len(parts) > 1 and not parts[-1].strip(" \t\r\n"):
        parts.pop()  # a trailing semicolon is allowed
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip(" \t\r\n")
        if not equals or (name not in _USUAL and not _is_name(name)):
            raise MailError(f"tag list: {part.strip()[:40]!r} is not tag=value")
        if name in tags:
            raise MailError(f"tag list: {name}= is given twice")
        tags[name] = value.strip(" \t\r\n")
    return tags


def _is_name(name: str) -> bool:
    """A letter, then letters, digits and underscores (RFC 6376 §3.2)."""
    return name.isascii() and name.isidentifier() and name[0] != "_"


def without_folds(value: str) -> str:
    """A base64 value without the white space that folding put into it (RFC 6376 §3.2)."""
    return value.replace(" ", "").replace("\t", "").replace("\r", "").replace("\n", "")
