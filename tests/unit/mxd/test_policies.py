"""The MTA-STS policies that were found: asked for once, kept over a restart, renewed, bounded."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from mxfleet.mail.mta_sts import Fetched, FetchFailed
from mxfleet.mail.questions import Answer, NoData, Question, Response, TempError
from mxfleet.mxd import policies
from mxfleet.mxd.observe import logger
from mxfleet.mxd.policies import Policies

DAY = 86_400.0


class World:
    """One domain's record and web server, a clock, and who was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 1_000_000.0
        self.id = "1"
        self.record: Response | None = None
        self.answer: Fetched | FetchFailed = self.file()
        self.fetched: list[str] = []
        self.asked: list[str] = []

    def file(self, mode: str = "enforce", max_age: int = 604_800) -> Fetched:
        body = f"version: STSv1\nmode: {mode}\nmx: mx.peer.test\nmax_age: {max_age}\n"
        return Fetched(200, "text/plain", body.encode())

    async def ask(self, question: Question) -> Response:
        self.asked.append(question.name)
        if self.record is not None:
            return self.record
        return Answer((f"v=STSv1; id={self.id}".encode(),)) if question.type == "TXT" else NoData()

    async def fetch(self, host: str, path: str) -> Fetched | FetchFailed:
        self.fetched.append(host)
        await asyncio.sleep(0)
        return self.answer

    def policies(self) -> Policies:
        return Policies(self.path, self, self.fetch, logger("test"), lambda: self.now)  # type: ignore[arg-type]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "mta-sts.json")


async def mode(kept: Policies, domain: str = "peer.test") -> str:
    found = await kept.policy(domain)
    return found.mode if found else ""


async def test_a_policy_is_fetched_once_and_outlives_a_restart(world: World) -> None:
    first = world.policies()
    assert await asyncio.gather(*(mode(first) for _ in range(5))) == ["enforce"] * 5
    assert await mode(first) == "enforce"
    await first.close()
    world.answer = FetchFailed("gone")
    second = world.policies()
    assert await mode(second) == "enforce"
    assert world.fetched == ["mta-sts.peer.test"]


@pytest.mark.parametrize("record", [NoData(), TempError("no answer in time")])
async def test_a_record_that_is_kept_from_us_does_not_lift_a_policy(world: World, record: Response) -> None:
    kept = world.policies()
    await mode(kept)
    world.record = record
    world.now += 604_000
    assert await mode(kept) == "enforce"
    world.now += 1_000
    assert await mode(kept) == ""
    await kept.close()
    assert json.loads(world.path.read_bytes()) == []


async def test_a_new_id_is_a_new_policy(world: World) -> None:
    kept = world.policies()
    await mode(kept)
    world.id, world.answer = "2", world.file("none")
    assert await mode(kept) == "none"
    await kept.close()


async def test_a_web_server_that_fails_is_left_alone_for_a_while(world: World, capfdbinary: Any) -> None:
    kept = world.policies()
    world.answer = FetchFailed("its certificate is not believed: self-signed", certificate=True)
    assert [await mode(kept) for _ in range(3)] == ["", "", ""]
    assert len(world.fetched) == 1
    world.now += policies.AGAIN + 1
    world.answer = world.file()
    assert await mode(kept) == "enforce"
    await kept.close()
    log = capfdbinary.readouterr().err.decode()
    assert log.count('"no MTA-STS policy"') == 1
    assert "mta-sts.peer.test: its certificate is not believed: self-signed" in log


async def test_a_policy_in_use_is_renewed_daily_and_one_that_is_not_ends(world: World) -> None:
    kept = world.policies()
    await mode(kept)
    await kept.renew()
    assert len(world.fetched) == 1
    world.now += DAY + 1
    await kept.renew()
    assert len(world.fetched) == 2
    world.now += 604_000
    assert await mode(kept) == "enforce"
    await kept.close()
    unused = world.policies()
    world.now += DAY + 1
    await unused.renew()
    assert len(world.fetched) == 2


async def test_a_failed_renewal_leaves_the_policy_until_its_end(world: World) -> None:
    kept = world.policies()
    await mode(kept)
    world.now, world.answer = world.now + DAY + 1, FetchFailed("gone")
    await kept.renew()
    assert await mode(kept) == "enforce"
    await kept.close()


@pytest.mark.parametrize("without", ["file", "record"])
async def test_renewals_that_fail_take_no_turn_from_others(world: World, without: str) -> None:
    kept = world.policies()
    domains = [f"d{number}.test" for number in range(policies.AT_ONCE + 5)]
    for domain in domains:
        await mode(kept, domain)
    world.now, world.fetched, world.asked = world.now + DAY + 1, [], []
    if without == "file":
        world.answer = FetchFailed("gone")
    else:
        world.record = NoData()
    for _ in range(2):
        await kept.renew()
        world.now += policies.ROUND
    assert sorted(world.asked) == sorted(f"_mta-sts.{domain}" for domain in domains)
    await kept.renew()
    assert len(world.asked) == len(domains)  # nobody again so soon
    world.now += policies.AGAIN
    await kept.renew()
    assert world.asked[len(domains) :] == world.asked[: policies.AT_ONCE]  # who has waited longest
    await kept.close()


async def test_no_more_is_kept_than_there_is_room_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "SIZE", 3)
    kept = world.policies()
    for number in range(6):
        await mode(kept, f"d{number}.test")
    await mode(kept, "d3.test")  # used last
    await mode(kept, "d6.test")
    await kept.close()
    assert {row["domain"] for row in json.loads(world.path.read_bytes())} == {"d5.test", "d3.test", "d6.test"}


async def test_a_file_that_cannot_be_read_is_said_and_begun_anew(world: World, capfdbinary: Any) -> None:
    world.path.write_text("{nonsense")
    kept = world.policies()
    assert await mode(kept) == "enforce"
    await kept.close()
    assert "the kept MTA-STS policies cannot be read" in capfdbinary.readouterr().err.decode()
    assert len(json.loads(world.path.read_bytes())) == 1
