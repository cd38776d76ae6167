"""What makes a fleet's limits wrong; in the manner of checks.py."""

from collections.abc import Iterator
from dataclasses import fields

from mxfleet.fleet.limits import MEBIBYTE, Limits
from mxfleet.fleet.names import Problem


def wrong_limits(limits: Limits) -> Iterator[Problem]:
    """Numbers that no exchange could work with."""
    for field in fields(limits):
        value = getattr(limits, field.name)
        if value < 0:
            yield f"policy.limits.{field.name} {value:g} is less than nothing", "0 is no limit"
    if limits.sessions < 10:
        yield f"policy.limits.sessions {limits.sessions} is too few to be an exchange", "at least 10"
    if not 8 <= limits.prefix4 <= 32 or not 16 <= limits.prefix6 <= 128:
        yield (
            f"policy.limits: prefixes of {limits.prefix4} and {limits.prefix6} bits hold too many clients, or none",
            "8 to 32 for IPv4, 16 to 128 for IPv6",
        )
    if 0 < limits.memory < 8 * MEBIBYTE:
        yield (
            f"policy.limits.memory {limits.memory} is too little for messages under way",
            f"at least {8 * MEBIBYTE} octets",
        )
