"""Passwords and the patience with those who guess."""

import os
import time

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from mxfleet.mxd import accounts, settings
from mxfleet.mxd.accounts import Directory, Throttle


def phc(password: str, memory: int = 64, passes: int = 1) -> str:
    derive = Argon2id(salt=os.urandom(16), length=32, iterations=passes, lanes=1, memory_cost=memory)
    return derive.derive_phc_encoded(password.encode())


def directory(hashed: str) -> Directory:
    account = settings.AccountSettings(address="Alice@corp.test", hash=hashed, also=("Info@corp.test",))
    return Directory(settings.Accounts(account=(account,)))


async def test_the_right_password_opens_and_the_user_name_has_no_case() -> None:
    users = directory(phc("pässword"))
    assert await users.verify("ALICE@corp.test", "pässword")
    found = users.account("alice@corp.test")
    assert found
    assert found.may_send_as == {"alice@corp.test", "info@corp.test"}


@pytest.mark.parametrize(
    ("user", "password"), [("alice@corp.test", "wrong"), ("alice@corp.test", ""), ("bob@corp.test", "right")]
)
async def test_nothing_else_opens(user: str, password: str) -> None:
    assert not await directory(phc("right")).verify(user, password)


async def test_a_damaged_hash_opens_for_nobody() -> None:
    assert not await directory("$argon2id$broken").verify("alice@corp.test", "")


async def test_an_unknown_user_costs_as_much_as_a_known_one() -> None:
    users = directory(phc("right", memory=19456, passes=2))

    async def cost(user: str) -> float:
        begun = time.process_time()  # of all threads, and blind to what else the machine does
        await users.verify(user, "wrong")
        return time.process_time() - begun

    pairs = [(await cost("alice@corp.test"), await cost("mallory@corp.test")) for _ in range(6)]
    known, unknown = (min(costs) for costs in zip(*pairs, strict=True))
    assert 0.5 < known / unknown < 2.0


def test_hashes_are_told_from_other_text() -> None:
    assert accounts.check_hash(phc("x"))
    assert not accounts.check_hash("secret")
    assert not accounts.check_hash("$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaA")


def test_guessing_gets_slower_for_address_and_user_and_ends_with_success() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0], allowed=3, longest=60.0)
    for _ in range(2):
        throttle.failed("address", "user")
    assert throttle.wait("address", "user") == 0
    throttle.failed("address", "user")
    assert throttle.wait("address") == 1.0
    assert throttle.wait("other", "user") == 1.0
    throttle.failed("address", "user")
    assert throttle.wait("user") == 2.0
    now[0] = 2.0
    assert throttle.wait("user") == 0
    for _ in range(40):
        throttle.failed("user")
    assert throttle.wait("user") == 60.0
    throttle.succeeded("user")
    assert throttle.wait("user") == 0
    assert throttle.wait("address") == 0


def test_failures_are_forgotten_in_time_and_never_fill_the_memory() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0], allowed=2, longest=10.0)
    throttle.failed("a")
    throttle.failed("a")
    now[0] = 100.0
    throttle.failed("a")
    assert throttle.wait("a") == 0
    for n in range(2 * accounts.KEPT):
        throttle.failed(f"address {n}")
    assert len(throttle._failures) == accounts.KEPT
