"""What the DNS said, for as long as it said, within bounds."""

from collections.abc import Callable, Hashable
from typing import Any, Final

from mxfleet.mail.questions import Question, Response, TempError
from mxfleet.mxd.resolver.wire import Message

LONGEST: Final = 3600  # seconds; the resolver behind us keeps things longer
TROUBLE: Final = 5  # seconds for which nobody asks again what got no answer (RFC 2308 §7: at most 300)
SIZE: Final = 20_000  # questions
VERDICTS: Final = 2_000


class Cache:
    """Answers by question; the oldest goes first when there is no more room."""

    def __init__(self, clock: Callable[[], float], size: int = SIZE) -> None:
        """`clock` in seconds, monotonic."""
        self._clock = clock
        self._size = size
        # By name and type: to hash and compare questions themselves takes ten times as long.
        self._kept: dict[tuple[str, str], tuple[Response, float]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, question: Question) -> Response | None:
        """The answer while it holds."""
        found = self.find(question)
        return None if found is None else found[0]

    def find(self, question: Question) -> tuple[Response, float] | None:
        """The answer while it holds, and until when it does."""
        key = (question.name, question.type)
        found = self._kept.get(key)
        if found is None or found[1] > self._clock():
            return found
        del self._kept[key]
        return None

    def put(self, question: Question, message: Message) -> None:
        """Keep an answer for as long as it says; a TTL of nought keeps nothing."""
        seconds = TROUBLE if isinstance(message.response, TempError) else min(message.seconds, LONGEST)
        if seconds <= 0:
            return
        key = (question.name, question.type)
        self._kept.pop(key, None)
        self._kept[key] = (message.response, self._clock() + seconds)
        while len(self._kept) > self._size:
            del self._kept[next(iter(self._kept))]


class Verdicts:
    """What checks came to, each for as long as all of the answers that led to it; bounded as `Cache` is."""

    def __init__(self, clock: Callable[[], float], size: int = VERDICTS) -> None:
        """`clock` in seconds, monotonic."""
        self._clock = clock
        self._size = size
        self._kept: dict[Hashable, tuple[Any, float]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> Any | None:  # noqa: ANN401 - whoever knows the key knows the kind
        """The verdict while it holds."""
        found = self._kept.get(key)
        if found is None:
            return None
        if found[1] <= self._clock():
            del self._kept[key]
            return None
        return found[0]

    def put(self, key: Hashable, verdict: object, until: float) -> None:
        """Keep a verdict until then, on our clock."""
        self._kept.pop(key, None)
        self._kept[key] = (verdict, until)
        while len(self._kept) > self._size:
            del self._kept[next(iter(self._kept))]
