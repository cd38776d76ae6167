"""Passwords and the patience with those who guess."""

import asyncio
import os
import time

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from mxfleet.mxd import accounts, settings
from mxfleet.mxd.accounts import Directory


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


async def test_an_unknown_user_is_checked_with_the_parameters_that_most_accounts_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked: list[str] = []
    monkeypatch.setattr(accounts, "_matches", lambda _, phc: checked.append(phc.split("$")[3]))
    users = directory(phc("right", memory=128, passes=3))
    await users.verify("alice@corp.test", "wrong")
    await users.verify("mallory@corp.test", "wrong")
    assert checked == ["m=128,t=3,p=1"] * 2


async def test_passwords_are_checked_one_at_a_time_and_not_too_many_wait() -> None:
    users = directory(phc("right", memory=19456, passes=2))
    waiting = [
        asyncio.ensure_future(users.verify("alice@corp.test", "right")) for _ in range(accounts.PENDING)
    ]
    await asyncio.sleep(0)
    assert users.busy
    assert all(await asyncio.gather(*waiting[:3]))
    for each in waiting[3:]:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert not users.busy
