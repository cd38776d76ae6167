"""What SPF says about a client, as a value (RFC 7208 §2.6)."""

from typing import Literal, TypeAlias

import msgspec

SpfResult: TypeAlias = Literal["none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"]
Identity: TypeAlias = Literal["mailfrom", "helo"]


class Spf(msgspec.Struct, frozen=True):
    """One check's verdict.

    `domain` is the one whose policy was asked for, `mechanism` the directive of its record that matched
    ("default" where none did, "" where there was nothing to match), `reason` a sentence for the log and
    `explanation` the domain's own words for a `fail` (RFC 7208 §6.2), "" where it has none. `personal` says that a
    macro was expanded on the way: another sender of the same domain may get another verdict.
    """

    result: SpfResult
    identity: Identity
    domain: str
    mechanism: str = ""
    reason: str = ""
    explanation: str = ""
    personal: bool = False
