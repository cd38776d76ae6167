"""Domains by name: exact ones first, then `*.` before the longest suffix, then `*` for every other."""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Wildcards(Generic[Value]):
    """A table whose names may be `corp.test`, `*.corp.test` (what is below it, at any depth) and `*`."""

    def __init__(self, entries: Mapping[str, Value]) -> None:
        """`entries` by canonical name."""
        self._exact = {name: value for name, value in entries.items() if not name.startswith("*")}
        self._below = {name[2:]: value for name, value in entries.items() if name.startswith("*.")}
        self._everything = entries.get("*")

    def get(self, domain: str, /) -> Value | None:
        """What is said of a canonical domain; an address literal is nobody's wildcard."""
        found = self._exact.get(domain)
        if found is not None or domain.startswith("[") or not domain:
            return found
        if self._below:
            rest = domain
            while rest:
                rest = rest.partition(".")[2]
                if (found := self._below.get(rest)) is not None:
                    return found
        return self._everything

    def values(self) -> Iterator[Value]:
        """All that is said."""
        yield from self._exact.values()
        yield from self._below.values()
        if self._everything is not None:
            yield self._everything
