"""Authentication-Results written, and those removed that pretend to be ours (RFC 8601 §2.2, §5)."""

from collections.abc import Collection

from mxfleet.errors import MessageError
from mxfleet.mail.authentication_results import AuthenticationResults, MethodResult, parse, read_authserv_id
from mxfleet.mail.message import Headers
from mxfleet.mail.quoting import fold, quoted

FIELD = "Authentication-Results"


def render(found: AuthenticationResults) -> bytes:
    """The field, folded, CRLF at its end; without results it says `none` (RFC 8601 §2.2)."""
    groups = [[quoted(found.authserv_id)], *map(_words, found.results)]
    if not found.results:
        groups.append(["none"])
    for group in groups[:-1]:
        group[-1] += ";"
    return fold(FIELD, *groups)


def without_forged(headers: Headers, names: Collection[str]) -> Headers:
    """The header section without the fields that claim to be by one of these hosts (RFC 8601 §5).

    A field whose author cannot be read goes as well: another reader might read it. `names` in lower case.
    """
    fields = headers.all(FIELD)
    forged = [field for field in fields if _claimed(field.text) in ("", *names)]
    if not forged:
        return headers
    kept = tuple(field for field in headers.fields if not any(field is one for one in forged))
    return Headers(b"".join(field.raw for field in kept), kept)


def _claimed(text: str) -> str:
    """Who a field says has written it, in lower case; "" where nobody can tell."""
    try:
        return parse(text).authserv_id
    except MessageError:
        return read_authserv_id(text)


def _words(result: MethodResult) -> list[str]:
    reason = [f"reason={quoted(result.reason)}"] if result.reason else []
    properties = (f"{name}={quoted(value)}" for name, value in result.properties.items())
    return [f"{result.method}={result.result}", *reason, *properties]
