"""Guessing passwords is slow: by user and by address, over all processes, and however many ask at once."""

import time
from collections.abc import Callable
from typing import Final

from mxfleet.mxd.limits_settings import LimitSettings
from mxfleet.mxd.shares import Shares

KNOWN: Final = 30 * 86_400.0  # seconds for which an address from which a user came in is known to be his
LONGEST_NAME: Final = 256


class LoginThrottle:
    """After so many failures of a user or an address, each further one costs a pause, doubled each time.

    An attempt counts as a failure from its beginning until it is known to be right: a hundred at once are no way
    around. Where a user has come in before, failures of others elsewhere do not keep him out.
    """

    def __init__(
        self, settings: LimitSettings, shares: Shares, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` is that of `shares`."""
        self._settings = settings
        self._shares = shares
        self._clock = clock

    def begin(self, user: str, address: str) -> float:
        """An attempt: 0 if it may be made, else the seconds until one may, and this one does not count."""
        user = _name(user)
        settings, pauses = self._settings, [0.0]
        pauses.append(self._pause(f"from {address}", settings.login_failures_per_address))
        if not self._shares.remembers(f"known {user} {address}", KNOWN):
            pauses.append(self._pause(f"user {user}", settings.login_failures_per_user))
        wait = max(pauses)
        if wait <= 0:
            self._shares.strike(f"from {address}")
            self._shares.strike(f"user {user}")
        return wait

    def succeeded(self, user: str, address: str) -> None:
        """The attempt was right: the user is forgiven all, his address this one, for others may guess from there."""
        user = _name(user)
        self._shares.forgive(f"user {user}")
        self._shares.forgive(f"from {address}", 1)
        self._shares.remember(f"known {user} {address}")

    def _pause(self, key: str, allowed: int) -> float:
        if not allowed:
            return 0.0
        found = self._shares.strikes(key)
        over = found.count - allowed
        if over < 0:
            return 0.0
        return found.last + min(2.0 ** min(over, 32), self._settings.login_pause) - self._clock()


def _name(user: str) -> str:
    return user.lower()[:LONGEST_NAME]
