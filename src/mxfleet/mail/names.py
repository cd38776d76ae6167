"""Domain names as the DNS can be asked for them: canonical, ASCII, with labels of a legal length."""

from functools import lru_cache
from typing import Final

from mxfleet.errors import AddressError
from mxfleet.mail.address import parse_domain

MAX_NAME: Final = 253  # octets of a name written without its trailing dot (RFC 1035 §2.3.4)
MAX_LABEL: Final = 63


def is_askable(name: str) -> bool:
    """Whether a question can be composed for this name (RFC 1035 §2.3.4): any ASCII, but no empty label."""
    return 0 < len(name) <= MAX_NAME and _has_labels(name)


@lru_cache(maxsize=4096)
def _has_labels(name: str) -> bool:
    return name.isascii() and all(0 < len(label) <= MAX_LABEL for label in name.split("."))


def canonical_name(name: str) -> str:
    """Lower case, A-labels (RFC 8616 §3), no trailing dot; "" for what cannot be a name in the DNS."""
    return _canonical(name) if len(name) <= MAX_NAME + 1 else ""  # nothing long is kept


@lru_cache(maxsize=4096)
def _canonical(name: str) -> str:
    name = name.removesuffix(".")
    if not name.isascii():
        try:
            return parse_domain(name)  # which refuses what IDNA 2003 and 2008 read as two different names
        except AddressError:
            return ""
    return name.lower() if is_askable(name) else ""


def is_within(name: str, ancestor: str) -> bool:
    """Whether `name` is `ancestor` or below it; both canonical."""
    return name == ancestor or name.endswith("." + ancestor)
