"""Which header fields a signature covers (RFC 6376 §5.4), and how they are found again."""

from collections.abc import Iterable
from typing import Final

from mxfleet.mail.dkim.canonical import relaxed_fields
from mxfleet.mail.message import Field, Headers

# Named once more than they occur (RFC 6376 §8.15), so that none can be added to what a reader is shown.
OVERSIGNED: Final = (
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
)
# Named as often as they occur; lists add them on their way. RFC 8058 §4 wants List-Unsubscribe covered.
SIGNED: Final = ("Sender", "List-ID", "List-Unsubscribe", "List-Unsubscribe-Post")


def names_to_sign(headers: Headers) -> tuple[str, ...]:
    """The names for `h=`, in order, each as often as it must stand there."""
    oversigned = [name for name in OVERSIGNED for _ in range(headers.count(name) + 1)]
    return (*oversigned, *(name for name in SIGNED for _ in range(headers.count(name))))


def selected(headers: Headers, names: Iterable[str]) -> bytes:
    """The covered fields in relaxed form, in the order of `names`, as `chosen` finds them."""
    return relaxed_fields(chosen(headers, (name.lower().encode("ascii") for name in names)))


def chosen(headers: Headers, keys: Iterable[bytes]) -> list[tuple[bytes, Field]]:
    """The covered fields in the order of `keys`, their names in lower case, each with its name.

    A name that comes again means the next instance from the bottom up; one that is not there means nothing
    (RFC 6376 §5.4.2).
    """
    by_name = headers.by_name
    left: dict[bytes, int] = {}
    found: list[tuple[bytes, Field]] = []
    for key in keys:
        if (instances := by_name.get(key)) is None:
            continue
        position = left.get(key, len(instances)) - 1
        left[key] = position
        if position >= 0:
            found.append((key, instances[position]))
    return found
