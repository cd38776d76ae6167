"""The resolver's cache, its questions under way, and the checks that it drives."""

import asyncio
import gc
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any

import pytest

from mxfleet.errors import SettingsError
from mxfleet.mail.questions import Answer, NoData, Question, Questions, TempError, ask_texts
from mxfleet.mxd.resolver import Resolver, channel, place
from mxfleet.mxd.resolver.cache import Cache, Verdicts
from mxfleet.mxd.resolver.wire import Message

TEXT = Question("a.test", "TXT")
FOUND = Message(Answer((b"x",)), 60)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Channel:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.answers: dict[Question, Message] = {}
        self.go = asyncio.Event()

    def ask(self, question: Question, patience: float) -> asyncio.Future[Message]:
        self.asked.append(question)
        return asyncio.ensure_future(self.answer(question))

    async def answer(self, question: Question) -> Message:
        await self.go.wait()
        return self.answers.get(question, FOUND)

    def close(self) -> None: ...


@pytest.fixture
async def resolver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    made: Any = Resolver("127.0.0.1")
    made._channel = Channel()
    yield made
    await made.close()


def soon() -> float:
    return asyncio.get_running_loop().time() + 5


def test_an_answer_is_kept_as_long_as_it_says_but_not_for_ever() -> None:
    clock = Clock()
    cache = Cache(clock)
    cache.put(TEXT, Message(Answer((b"x",)), 60))
    cache.put(Question("long.test", "TXT"), Message(NoData(), 1_000_000))
    cache.put(Question("nought.test", "TXT"), Message(NoData(), 0))
    assert cache.get(TEXT) == Answer((b"x",))
    assert cache.get(Question("nought.test", "TXT")) is None
    clock.now = 60
    assert cache.get(TEXT) is None
    assert cache.get(Question("long.test", "TXT")) == NoData()
    clock.now = 3600
    assert cache.get(Question("long.test", "TXT")) is None


def test_trouble_is_remembered_for_a_moment() -> None:
    clock = Clock()
    cache = Cache(clock)
    cache.put(TEXT, Message(TempError("SERVFAIL"), 0))
    assert cache.get(TEXT) == TempError("SERVFAIL")
    clock.now = 5
    assert cache.get(TEXT) is None


def test_the_cache_is_bounded() -> None:
    cache = Cache(Clock(), size=3)
    for number in range(5):
        cache.put(Question(f"{number}.test", "TXT"), FOUND)
    assert len(cache) == 3
    assert cache.get(Question("4.test", "TXT")) is not None


async def test_the_same_question_is_asked_once_and_who_gives_up_takes_nothing_from_others(
    resolver: Any,
) -> None:
    first, second = asyncio.create_task(resolver.ask(TEXT)), asyncio.create_task(resolver.ask(TEXT))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    resolver._channel.go.set()
    assert await second == FOUND.response
    assert await resolver.ask(TEXT) == FOUND.response
    assert resolver._channel.asked == [TEXT]


async def test_a_check_whose_answers_are_known_is_done_at_once(resolver: Any) -> None:
    resolver._cache.put(TEXT, FOUND)
    assert resolver.begin(ask_texts("a.test"), soon()) == (b"x",)


async def test_who_keeps_a_verdict_is_told_until_when_the_first_of_its_answers_holds() -> None:
    clock = Clock()
    resolver: Any = Resolver("127.0.0.1", clock=clock)
    other = Question("b.test", "TXT")
    resolver._cache.put(TEXT, FOUND)
    resolver._cache.put(other, Message(NoData(), 10))
    kept: list[tuple[object, float]] = []

    def check() -> Questions[str]:
        yield TEXT
        yield other
        return "verdict"

    def begin() -> object:
        return resolver.begin(check(), soon(), keep=lambda verdict, until: kept.append((verdict, until)))

    assert begin() == "verdict"
    assert kept == [("verdict", 10.0)]
    clock.now = 10
    task = begin()
    assert isinstance(task, asyncio.Future), "an answer ended: it must be asked for again"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await resolver.close()


def test_a_kept_verdict_holds_until_its_time_and_there_are_no_more_than_there_is_room_for() -> None:
    clock = Clock()
    verdicts = Verdicts(clock, size=3)
    for number in range(5):
        verdicts.put(number, "verdict", 1.0)
    assert len(verdicts) == 3
    assert [verdicts.get(number) for number in (1, 4)] == [None, "verdict"]
    clock.now = 1
    assert verdicts.get(4) is None
    assert len(verdicts) == 2


async def test_a_check_that_raises_counts_as_what_its_caller_makes_of_it(resolver: Any) -> None:
    def check() -> Questions[str]:
        yield TEXT
        raise ValueError("a mistake")

    later = resolver.begin(check(), soon(), mistaken=str)
    resolver._channel.go.set()
    assert await later == "a mistake"
    resolver._cache.put(TEXT, FOUND)
    assert resolver.begin(check(), soon(), mistaken=str) == "a mistake"
    with pytest.raises(ValueError, match="a mistake"):
        resolver.begin(check(), soon())


async def test_what_was_asked_ahead_is_not_asked_again(resolver: Any) -> None:
    resolver._channel.go.set()
    resolver.ask_ahead([TEXT, TEXT])
    assert await resolver.run(ask_texts("a.test"), soon()) == (b"x",)
    assert resolver._channel.asked == [TEXT]


async def test_at_the_deadline_a_check_ends_with_what_it_makes_of_no_answer(resolver: Any) -> None:
    def check() -> Questions[list[object]]:
        return [(yield TEXT), (yield Question("b.test", "A"))]

    until = asyncio.get_running_loop().time() + 0.01
    late = TempError("no answer in time")
    assert await resolver.run(check(), until) == [late, late]


async def test_a_name_that_cannot_be_asked_for_is_asked_of_nobody(resolver: Any) -> None:
    for name in ("a..test", "x" * 64 + ".test", "ä.test"):
        assert isinstance(await resolver.ask(Question(name, "TXT")), TempError)
    assert resolver._channel.asked == []


async def test_a_mistake_in_asking_over_tcp_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    mistakes: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: mistakes.append(context["exception"]))

    async def broken(_self: object, _question: Question) -> Message:
        raise ValueError("a mistake")

    monkeypatch.setattr(channel.Channel, "_exchange", broken)
    asked = channel.Channel("127.0.0.1", 1, trusted=True)
    answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    asked.by_stream(TEXT, answer, soon())
    assert await asyncio.wait_for(answer, 5) == Message(TempError("this host could not ask"), 0)
    asked.close()
    await asyncio.sleep(0)
    gc.collect()
    assert [str(mistake) for mistake in mistakes] == ["a mistake"]


def test_places() -> None:
    assert place("192.0.2.1") == ("192.0.2.1", 53)
    assert place("127.0.0.1:5353") == ("127.0.0.1", 5353)
    assert place("::1") == ("::1", 53)
    assert place("[2001:db8::1]:54") == ("2001:db8::1", 54)
    for wrong in ("ns.test", "127.0.0.1:x", ""):
        with pytest.raises(SettingsError):
            place(wrong)
    assert ip_address(place("::1")[0]).is_loopback
