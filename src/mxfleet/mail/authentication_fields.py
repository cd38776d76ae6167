"""Authentication-Results written, and those removed that pretend to be ours (RFC 8601 §2.2, §5)."""

from collections.abc import Collection, Sequence
from typing import Final

from mxfleet.mail.authentication_results import read_authserv_id
from mxfleet.mail.message import Field, Headers
from mxfleet.mail.quoting import fold, quoted

FIELD = "Authentication-Results"
KEY: Final = FIELD.lower().encode("ascii")
ARC_FIELD = "ARC-Authentication-Results"
MAX_FIELD: Final = 16_384  # octets; a longer one of somebody else's is not worth the reading


def render(authserv_id: str, results: Sequence[str], instance: int = 0) -> bytes:
    """The field of such results, as `Evidence.results` writes them, folded, CRLF at its end.

    Without results it says `none` (RFC 8601 §2.2). With an `instance` it is that of an ARC set (RFC 8617 §4.1.1).
    """
    *parts, last = (quoted(authserv_id), *(results or ("none",)))
    if instance:
        parts.insert(0, f"i={instance}")
    return fold(ARC_FIELD if instance else FIELD, *[f"{part};" for part in parts], last)


def without_forged(headers: Headers, names: Collection[str]) -> Headers:
    """The header section without the fields that claim to be by one of these hosts (RFC 8601 §5).

    A field whose author cannot be read goes as well, for another reader might read it, and so does one that is
    longer than MAX_FIELD. `names` in lower case.
    """
    forged = {id(field) for field in headers.by_name.get(KEY, ()) if _is_forged(field, names)}
    if not forged:
        return headers
    kept = tuple(field for field in headers.fields if id(field) not in forged)
    return Headers(b"".join(field.raw for field in kept), kept)


def _is_forged(field: Field, names: Collection[str]) -> bool:
    return len(field.raw) > MAX_FIELD or read_authserv_id(field.text) in ("", *names)
