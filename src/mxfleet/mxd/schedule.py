"""When a delivery is tried again: doubling delays, the last try when the message's time is up."""

from mxfleet.mxd.settings import RetrySettings


def delay(attempts: int, retry: RetrySettings) -> float:
    """Seconds to wait after the attempt with that number, counted from 1 (RFC 5321 §4.5.4.1)."""
    doublings = min(max(attempts, 1) - 1, 32)  # bounded: floats and patience both end
    return float(min(retry.first * 2**doublings, retry.longest))


def next_due(now: float, attempts: int, expires: float, retry: RetrySettings) -> float | None:
    """When to try again after `attempts` attempts; None if the message has no time left.

    Never later than `expires`: every message gets a last try at its end, and none stays longer.
    """
    if now >= expires:
        return None
    return min(now + delay(attempts, retry), expires)
