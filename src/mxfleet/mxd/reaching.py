"""Reaching a host that has several addresses: the next is tried soon, beside the one that keeps silent (RFC 8305)."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Generic, TypeVar

HEAD_START: Final = 0.25  # seconds that each address has before the next is tried too (RFC 8305 §5)

Opened = TypeVar("Opened")


@dataclass(frozen=True, slots=True)
class Reached(Generic[Opened]):
    """A connection and the address it is with, None where none could be had; why not at the others."""

    opened: Opened | None
    address: str
    failed: dict[str, OSError]


def in_turn(addresses: Sequence[str], chance: random.Random) -> list[str]:
    """Shuffled within each family (RFC 5321 §5.1), the families in turn, IPv6 first (RFC 8305 §4)."""
    if len(addresses) == 1:
        return list(addresses)
    shuffled = chance.sample(list(dict.fromkeys(addresses)), len(set(addresses)))
    six = [address for address in shuffled if ip_address(address).version == 6]
    four = [address for address in shuffled if ip_address(address).version == 4]
    longest = max(len(six), len(four))
    pairs = [family[place : place + 1] for place in range(longest) for family in (six, four)]
    return [address for pair in pairs for address in pair]


async def reach(
    connect: Callable[[str], Awaitable[Opened]],
    addresses: Sequence[str],
    drop: Callable[[Opened], None],
    head_start: float = HEAD_START,
) -> Reached[Opened]:
    """The first of the addresses, in their order, that is connected to; `drop` gets a connection too many.

    `connect` raises OSError (TimeoutError included) and has a limit of its own.
    """
    loop = asyncio.get_running_loop()
    waiting, running = list(addresses), dict[asyncio.Task[Opened], str]()
    failed: dict[str, OSError] = {}
    try:
        while waiting or running:
            if waiting:
                address = waiting.pop(0)
                running[loop.create_task(_awaited(connect, address))] = address
            patience = head_start if waiting else None
            done, _ = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                address = running.pop(task)
                error = task.exception()
                if error is None:
                    return Reached(task.result(), address, failed)
                if not isinstance(error, OSError):
                    raise error
                failed[address] = error
        return Reached(None, "", failed)
    finally:
        for task in running:
            task.cancel()
        for outcome in await asyncio.gather(*running, return_exceptions=True):
            if not isinstance(outcome, BaseException):
                drop(outcome)


async def _awaited(connect: Callable[[str], Awaitable[Opened]], address: str) -> Opened:
    return await connect(address)
