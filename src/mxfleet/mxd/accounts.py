"""Who may submit mail: Argon2id hashes, checked in a thread, with the same work for users who do not exist."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from mxfleet.mxd import settings

_DUMMY: Final = (  # OWASP's first choice, as the operator's side makes them: the same work as for a real account
    "$argon2id$v=19$m=19456,t=2,p=1$bm90IGEgcmVhbCBzYWx0ISE$mIOhYbzGX2HmmuM2FDKFwHy5vJ6zW9Nh8sYQyqgSSpU"
)
KEPT: Final = 4096  # addresses and users whose failures are remembered, at most


class Account(msgspec.Struct, frozen=True):
    """A login and the canonical addresses it may send as; the hash shows in no repr."""

    address: str
    may_send_as: frozenset[str]


class Directory:
    """The accounts of accounts.toml."""

    def __init__(self, accounts: settings.Accounts) -> None:
        """Hashes stay in here."""
        self._hashes = {a.address.lower(): a.hash for a in accounts.account}
        self._accounts = {
            a.address.lower(): Account(a.address.lower(), frozenset(x.lower() for x in (a.address, *a.also)))
            for a in accounts.account
        }
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="password")

    def __len__(self) -> int:
        return len(self._accounts)

    def account(self, username: str) -> Account | None:
        """The account of a login that was verified."""
        return self._accounts.get(username.lower())

    async def verify(self, username: str, password: str) -> bool:
        """Whether these credentials are right; about 25 ms of another thread, known user or not."""
        known = self._hashes.get(username.lower())
        loop = asyncio.get_running_loop()
        right = await loop.run_in_executor(self._threads, _matches, password, known or _DUMMY)
        return right and known is not None


def _matches(password: str, phc: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password.encode(), phc)
    except InvalidKey:
        return False
    return True


def check_hash(phc: str) -> bool:
    """Whether a PHC string is one that `verify` can work with; for `mxd check`."""
    parts = phc.split("$")
    return len(parts) == 6 and parts[:2] == ["", "argon2id"] and parts[2] == "v=19" and all(parts[3:])


class Throttle:
    """Slows down guessing: after `allowed` failures of one key, each further one waits twice as long.

    Keys are client addresses and user names; a user's wait never exceeds `longest`, so that nobody is locked
    out for long by a stranger.
    """

    def __init__(self, clock: Callable[[], float], allowed: int = 5, longest: float = 300.0) -> None:
        """`clock` is monotonic, in seconds."""
        self._clock = clock
        self._allowed = allowed
        self._longest = longest
        self._failures: dict[str, tuple[int, float]] = {}

    def wait(self, *keys: str) -> float:
        """Seconds until one of these may be tried again; 0 for now."""
        now = self._clock()
        return max(0.0, *(self._until(key) - now for key in keys))

    def failed(self, *keys: str) -> None:
        """Remember a wrong password."""
        now = self._clock()
        for key in keys:
            count, _ = self._recent(key, now)
            self._failures.pop(key, None)
            self._failures[key] = (count + 1, now)
        while len(self._failures) > KEPT:
            del self._failures[next(iter(self._failures))]  # the one longest without a failure

    def succeeded(self, *keys: str) -> None:
        """Forget the failures of these."""
        for key in keys:
            self._failures.pop(key, None)

    def _until(self, key: str) -> float:
        count, last = self._failures.get(key, (0, 0.0))
        if count < self._allowed:
            return 0.0
        return last + min(2.0 ** (count - self._allowed), self._longest)

    def _recent(self, key: str, now: float) -> tuple[int, float]:
        count, last = self._failures.get(key, (0, now))
        return (0, now) if now - last > 2 * self._longest else (count, last)
