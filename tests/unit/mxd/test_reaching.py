"""Several addresses of one host: in turn, soon beside one another, and none left open (RFC 8305)."""

import asyncio
import random

import pytest

from mxfleet.mxd.reaching import in_turn, reach

SILENT = 3600.0


class Net:
    """Addresses that answer after a while, or refuse (negative: after so long)."""

    def __init__(self, **after: float) -> None:
        self.after = after
        self.tried: list[str] = []
        self.dropped: list[str] = []

    async def connect(self, address: str) -> str:
        self.tried.append(address)
        delay = self.after[address]
        await asyncio.sleep(abs(delay))
        if delay < 0:
            raise ConnectionRefusedError(111, "refused")
        return f"with {address}"


def test_families_take_turns_and_equals_are_shuffled() -> None:
    given = ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2", "192.0.2.2"]
    orders = {tuple(in_turn(given, random.Random(seed))) for seed in range(50)}
    assert len(orders) == 4
    for order in orders:
        assert [":" in address for address in order] == [True, False, True, False]
    assert in_turn(["192.0.2.1"], random.Random(1)) == ["192.0.2.1"]


async def test_a_silent_address_holds_nobody_up() -> None:
    net = Net(a=SILENT, b=0.0)
    reached = await asyncio.wait_for(reach(net.connect, ["a", "b"], net.dropped.append, 0.01), 30)
    assert (reached.opened, reached.address) == ("with b", "b")
    assert net.tried == ["a", "b"]


async def test_a_prompt_address_is_the_only_one_tried() -> None:
    net = Net(a=0.0, b=0.0)
    reached = await reach(net.connect, ["a", "b"], net.dropped.append, 30)
    assert (reached.address, net.tried, net.dropped) == ("a", ["a"], [])


async def test_one_that_refuses_is_followed_by_the_next_at_once() -> None:
    net = Net(a=-0.0001, b=0.0)
    reached = await asyncio.wait_for(reach(net.connect, ["a", "b"], net.dropped.append, SILENT), 30)
    assert reached.address == "b"
    assert list(reached.failed) == ["a"]


async def test_where_nobody_answers_every_reason_is_known() -> None:
    net = Net(a=-0.0001, b=-0.0001)
    reached = await reach(net.connect, ["a", "b"], net.dropped.append, 0.001)
    assert reached.opened is None
    assert {a: e.errno for a, e in reached.failed.items()} == {"a": 111, "b": 111}


async def test_a_second_connection_is_let_go_of() -> None:
    class Late(Net):
        async def connect(self, address: str) -> str:
            try:
                return await super().connect(address)
            except asyncio.CancelledError:
                return f"with {address}"  # was just there when it was told to stop

    net = Late(a=SILENT, b=0.0)
    reached = await reach(net.connect, ["a", "b"], net.dropped.append, 0.01)
    assert reached.address == "b"
    assert net.dropped == ["with a"]


async def test_a_mistake_is_no_refusal() -> None:
    async def wrong(address: str) -> str:
        raise ValueError(address)

    with pytest.raises(ValueError, match="a"):
        await reach(wrong, ["a"], lambda _: None)
