"""Our Received field, and what is looked at in every message, whether its header is read or not: hops, Message-ID."""

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from mxfleet.mail.address import Mailbox
from mxfleet.mail.message import Headers
from mxfleet.mail.trace import Received
from mxfleet.mxd.desk import Client

_MESSAGE_ID = re.compile(rb"\s*(<[!-~]{1,250}>)")


def stamp(by: str, client: Client, trace: str, received: float, recipients: Sequence[Mailbox]) -> bytes:
    """RFC 5321 §4.4: our Received field; `received` in seconds since 1970."""
    return Received(
        by=by,
        hello=client.hello,
        address=client.address,
        protocol=client.protocol,
        trace=trace,
        date=_second(int(received)),
        tls=client.tls,
        recipient=recipients[0] if len(recipients) == 1 else None,
    ).render()


@lru_cache(maxsize=4)  # a busy service receives many messages in one
def _second(since_1970: int) -> datetime:
    return datetime.fromtimestamp(since_1970, UTC)


def own_hops(first: bytes, names: Collection[str]) -> int:
    """How often a message has been received by one of `names`, as its Received fields tell."""
    end = first.find(b"\r\n\r\n")
    section = first if end < 0 else first[: end + 2]
    by = re.compile(
        rb"\sby[ \t\r\n]{1,4}(?:" + b"|".join(re.escape(n.encode()) for n in names) + rb")[\s;(]", re.I
    )
    return sum(1 for _ in by.finditer(section)) if names else 0


def scan(first: bytes) -> tuple[int, str]:
    """Received fields and Message-ID of a message's beginning, without parsing what no field is asked of."""
    end = first.find(b"\r\n\r\n")
    section = first if end < 0 else first[: end + 2]
    lower = b"\n" + section.lower()
    at = lower.find(b"\nmessage-id:")
    match = _MESSAGE_ID.match(section, at + 11) if at >= 0 else None
    return lower.count(b"\nreceived:"), match[1].decode("ascii") if match else ""


def scanned(headers: Headers) -> tuple[int, str]:
    """As `scan`, of a header that was read."""
    fields = headers.by_name.get(b"message-id")
    match = _MESSAGE_ID.match(fields[0].body) if fields else None
    return len(headers.by_name.get(b"received", ())), match[1].decode("ascii") if match else ""
