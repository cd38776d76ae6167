"""DNS lists that are dead, list everybody or complain about us are not used, and the log says so once."""

import asyncio
from ipaddress import ip_address

import pytest

from mxfleet.mail.dnsbl import DnsList
from mxfleet.mail.questions import Answer, NxDomain, Question, Questions, Response, TempError, Verdict, drive
from mxfleet.mxd.list_health import ILL, WELL, ListHealth
from tests.unit.mxd.test_mistakes import Lines


class Log(Lines):
    def info(self, event: str, **facts: object) -> None:
        self.error(event, **facts)


def listing(*addresses: str) -> Answer:
    return Answer(tuple(ip_address(address) for address in addresses))


GOOD: dict[str, Response] = {"2.0.0.127.dnsbl.test": listing("127.0.0.2"), "1.0.0.127.dnsbl.test": NxDomain()}


async def test_none_is_used_before_it_was_looked_at() -> None:
    health = ListHealth([DnsList("dnsbl.test")], None)
    waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def run(_check: object, _until: float) -> str:
        return await waiting

    watching = asyncio.ensure_future(health.watch(run))
    await asyncio.sleep(0)
    assert health.usable == ()
    waiting.set_result("")
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(health.usable) == 1
    watching.cancel()


async def look(health: ListHealth, zone: dict[str, Response]) -> None:
    """One round of watching."""

    async def run(check: Questions[Verdict], _until: float) -> Verdict:
        return drive(check, lambda question: answered(zone, question))

    watching = asyncio.ensure_future(health.watch(run))
    for _ in range(5):
        await asyncio.sleep(0)
    watching.cancel()


def answered(zone: dict[str, Response], question: Question) -> Response:
    return zone.get(question.name, NxDomain())


@pytest.mark.parametrize(
    ("zone", "reason"),
    [
        ({}, "dnsbl.test does not list 127.0.0.2: it is empty or gone"),
        (
            GOOD | {"1.0.0.127.dnsbl.test": listing("127.0.0.2")},
            "dnsbl.test lists 127.0.0.1: it lists everything",
        ),
        (
            GOOD | {"2.0.0.127.dnsbl.test": listing("127.255.255.254")},
            "asked through a public resolver, which it does not answer",
        ),
        (GOOD | {"2.0.0.127.dnsbl.test": TempError("SERVFAIL")}, "SERVFAIL"),
    ],
)
async def test_a_list_that_must_not_be_used_is_not_and_the_log_says_so_once(
    zone: dict[str, Response], reason: str
) -> None:
    log = Log()
    health = ListHealth([DnsList("dnsbl.test")], log)  # type: ignore[arg-type]
    assert [each.zone for each in health.usable] == ["dnsbl.test"]
    for _ in range(3):
        await look(health, zone)
    assert (health.usable, health.pause) == ((), ILL)
    ((event, facts),) = log.lines
    assert (event, facts["list"]) == ("DNS list not used", "dnsbl.test")
    assert reason in str(facts["reason"])
    await look(health, GOOD)
    await look(health, GOOD)
    assert ([each.zone for each in health.usable], health.pause) == (["dnsbl.test"], WELL)
    assert [event for event, _ in log.lines] == ["DNS list not used", "DNS list used again"]


async def test_one_that_is_ill_does_not_keep_the_others_away() -> None:
    health = ListHealth([DnsList("gone.test"), DnsList("dnsbl.test")], None)
    await look(health, GOOD)
    assert [each.zone for each in health.usable] == ["dnsbl.test"]
