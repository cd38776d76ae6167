"""A zone as a mapping, and a driver that answers a check's questions from it."""

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeVar

from mxfleet.mail.questions import (
    Answer,
    Exchange,
    NoData,
    NxDomain,
    Question,
    Questions,
    Record,
    Response,
    TempError,
    drive,
)

Verdict = TypeVar("Verdict")
Entry = Sequence[Record]
TIMEOUT: Final = "TIMEOUT"
TYPES: Final = tuple(f" {kind}" for kind in ("TXT", "A", "AAAA", "MX", "PTR", "CNAME"))


class Zone:
    """Answers from `{"name TYPE": [records]}`; "name": TIMEOUT makes every other type there unanswerable.

    Text is written as `str`, addresses as `str`, exchanges as `(10, "host")`; an alias as `"name CNAME": [target]`.
    Every question is kept in `asked`.
    """

    def __init__(self, entries: Mapping[str, object]) -> None:
        self.asked: list[Question] = []
        self._entries: dict[tuple[str, str], list[object]] = {}
        self._silent: set[str] = set()
        self._names: set[str] = set()
        for key, value in entries.items():
            name, _, kind = key.lower().rpartition(" ") if key.endswith(TYPES) else (key.lower(), "", "")
            labels = name.split(".")
            self._names.update(".".join(labels[at:]) for at in range(len(labels)))
            if value == TIMEOUT and not kind:
                self._silent.add(name)
            else:
                self._entries[name, kind.upper()] = value if isinstance(value, list) else [value]

    def __call__(self, question: Question) -> Response:
        self.asked.append(question)
        return self._look_up(question.name, question.type, 8)

    def _look_up(self, name: str, kind: str, depth: int) -> Response:
        name = name.lower().rstrip(".")
        if found := self._entries.get((name, kind)):
            if found == [TIMEOUT]:
                return TempError("timed out")
            return Answer(tuple(_record(kind, value) for value in found))
        if (alias := self._entries.get((name, "CNAME"))) and depth:
            return self._look_up(str(alias[0]), kind, depth - 1)
        if name in self._silent:
            return TempError("timed out")
        return NoData() if name in self._names else NxDomain()


def answer_from(
    zone: Mapping[str, object] | Callable[[Question], Response], check: Questions[Verdict]
) -> Verdict:
    """Drive a check to its verdict."""
    return drive(check, Zone(zone) if isinstance(zone, Mapping) else zone)


def _record(kind: str, value: object) -> Record:
    match kind:
        case "TXT":
            return value if isinstance(value, bytes) else str(value).encode("utf-8")
        case "A":
            return IPv4Address(str(value))
        case "AAAA":
            return IPv6Address(str(value))
        case "MX":
            assert isinstance(value, tuple)
            return Exchange(value[0], value[1])
    return str(value)
