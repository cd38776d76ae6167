"""Authentication-Results written, and those removed that pretend to be ours (RFC 8601 §2.2, §5)."""

from collections.abc import Collection
from typing import Final

from mxfleet.mail.authentication_results import AuthenticationResults, MethodResult, read_authserv_id
from mxfleet.mail.message import Field, Headers
from mxfleet.mail.quoting import fold, quoted

FIELD = "Authentication-Results"
ARC_FIELD = "ARC-Authentication-Results"
MAX_FIELD: Final = 16_384  # octets; a longer one of somebody else's is not worth the reading


def render(found: AuthenticationResults, instance: int = 0) -> bytes:
    """The field, folded, CRLF at its end; without results it says `none` (RFC 8601 §2.2).

    With an `instance` it is that of an ARC set (RFC 8617 §4.1.1).
    """
    groups = [[quoted(found.authserv_id)], *map(_words, found.results)]
    if instance:
        groups.insert(0, [f"i={instance}"])
    if not found.results:
        groups.append(["none"])
    for group in groups[:-1]:
        group[-1] += ";"
    return fold(ARC_FIELD if instance else FIELD, *groups)


def without_forged(headers: Headers, names: Collection[str]) -> Headers:
    """The header section without the fields that claim to be by one of these hosts (RFC 8601 §5).

    A field whose author cannot be read goes as well, for another reader might read it, and so does one that is
    longer than MAX_FIELD. `names` in lower case.
    """
    forged = {id(field) for field in headers.all(FIELD) if _is_forged(field, names)}
    if not forged:
        return headers
    kept = tuple(field for field in headers.fields if id(field) not in forged)
    return Headers(b"".join(field.raw for field in kept), kept)


def _is_forged(field: Field, names: Collection[str]) -> bool:
    return len(field.raw) > MAX_FIELD or read_authserv_id(field.text) in ("", *names)


def _words(result: MethodResult) -> list[str]:
    reason = [f"reason={quoted(result.reason)}"] if result.reason else []
    properties = (f"{name}={quoted(value)}" for name, value in result.properties.items())
    return [f"{result.method}={result.result}", *reason, *properties]
