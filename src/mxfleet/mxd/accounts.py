"""Who may submit mail: Argon2id hashes, checked in a thread, with the same work for users who do not exist."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from mxfleet.mxd import settings

_PARAMETERS: Final = "m=19456,t=2,p=1"  # OWASP's first choice, as the operator's side makes them
_DUMMY: Final = "$argon2id$v=19${}$bm90IGEgcmVhbCBzYWx0ISE$mIOhYbzGX2HmmuM2FDKFwHy5vJ6zW9Nh8sYQyqgSSpU"
PENDING: Final = 64  # passwords that wait for their check in one process


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
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="password")  # 19 MiB for each check
        self._dummy = _DUMMY.format(_usual(self._hashes.values()))
        self._pending = 0

    def __len__(self) -> int:
        return len(self._accounts)

    def account(self, username: str) -> Account | None:
        """The account of a login that was verified."""
        return self._accounts.get(username.lower())

    @property
    def busy(self) -> bool:
        """Whether so many passwords wait that no further one should."""
        return self._pending >= PENDING

    async def verify(self, username: str, password: str) -> bool:
        """Whether these credentials are right; about 25 ms of another thread, known user or not.

        One at a time in this process: whoever sends many waits, and so memory is bounded.
        """
        known = self._hashes.get(username.lower())
        loop = asyncio.get_running_loop()
        self._pending += 1
        try:
            right = await loop.run_in_executor(self._threads, _matches, password, known or self._dummy)
        finally:
            self._pending -= 1
        return right and known is not None


def _usual(hashes: Iterable[str]) -> str:
    """The parameters that most accounts have: an unknown user costs what a known one does."""
    parameters = Counter(phc.split("$")[3] for phc in hashes if check_hash(phc))
    return parameters.most_common(1)[0][0] if parameters else _PARAMETERS


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
