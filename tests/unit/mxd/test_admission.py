"""Sessions, connections and messages that one client may have."""

from typing import Any

import msgspec
import pytest

from mxfleet.mxd.admission import Admission, wrong_limits
from mxfleet.mxd.limits_settings import LimitSettings
from mxfleet.mxd.settings import Settings
from mxfleet.mxd.shared_table import SharedTables
from tests.unit.mxd.test_mistakes import Lines
from tests.unit.mxd.test_session import SETTINGS
from tests.unit.mxd.test_shared_table import Clock


class Log(Lines):
    def warning(self, event: str, **facts: object) -> None:
        self.error(event, **facts)


def settings(per_address: int = 3, **limits: Any) -> Settings:
    service = msgspec.structs.replace(
        SETTINGS.service, sessions_per_address=per_address, peers=("192.0.2.200",)
    )
    return msgspec.structs.replace(SETTINGS, service=service, limits=LimitSettings(**limits))


class Node:
    """Two workers."""

    def __init__(self, given: Settings) -> None:
        self.clock, self.log = Clock(), Log()
        tables = SharedTables(2)
        self.workers = [
            Admission(given, tables.of(number, self.clock), self.log, self.clock)  # type: ignore[arg-type]
            for number in range(2)
        ]

    def enter(self, count: int, address: str) -> list[int]:
        """The codes of the refusals, 0 where there was none."""
        found = [self.workers[n % 2].enter(address) for n in range(count)]
        return [reply.code if reply else 0 for reply in found]

    def limits(self) -> list[object]:
        return [facts["limit"] for _, facts in self.log.lines]


def test_sessions_of_an_address_are_counted_over_all_workers() -> None:
    node = Node(settings())
    assert node.enter(5, "192.0.2.1") == [0, 0, 0, 421, 421]
    assert node.enter(1, "192.0.2.2") == [0]
    node.workers[1].leave("192.0.2.1")
    assert node.enter(2, "192.0.2.1") == [0, 421]


def test_who_was_refused_counts_no_longer() -> None:
    node = Node(settings(sessions_per_prefix=3))
    node.enter(50, "192.0.2.1")
    node.workers[0].leave("192.0.2.1")
    assert node.enter(1, "192.0.2.1") == [0]


@pytest.mark.parametrize(
    ("addresses", "others"),
    [
        (["192.0.2.1", "192.0.2.99"], "192.0.3.1"),
        (["2001:db8::1", "2001:db8::ffff:0:1"], "2001:db8:0:1::1"),
    ],
)
def test_sessions_of_a_prefix(addresses: list[str], others: str) -> None:
    node = Node(settings(sessions_per_prefix=4))
    assert node.enter(2, addresses[0]) + node.enter(3, addresses[1]) == [0, 0, 0, 0, 421]
    assert node.enter(1, others) == [0]
    assert node.limits() == ["sessions_per_prefix"]


def test_prefixes_are_as_long_as_the_settings_say() -> None:
    node = Node(settings(sessions_per_prefix=1, prefix4=16))
    assert node.enter(1, "192.0.2.1") + node.enter(1, "192.0.77.1") == [0, 421]


def test_connections_of_a_minute() -> None:
    node = Node(settings(connections_per_address=3))
    codes = []
    for _ in range(5):
        codes += node.enter(1, "192.0.2.1")
        if not codes[-1]:
            node.workers[0].leave("192.0.2.1")
    assert codes == [0, 0, 0, 421, 421]
    node.clock.now += 121
    assert node.enter(1, "192.0.2.1") == [0]
    assert node.limits() == ["connections_per_address"]


def test_connections_of_a_prefix_in_a_minute() -> None:
    node = Node(settings(connections_per_prefix=4))
    codes = [code for n in range(6) for code in node.enter(1, f"192.0.2.{n}")]
    assert codes == [0, 0, 0, 0, 421, 421]
    assert node.limits() == ["connections_per_prefix"]


def test_the_log_says_once_a_minute_that_a_limit_is_reached() -> None:
    node = Node(settings())
    node.enter(20, "192.0.2.1")
    assert len(node.log.lines) == 2  # one a worker
    ((event, facts), _) = node.log.lines
    assert event == "limit reached"
    assert (facts["limit"], facts["most"], facts["client"], facts["reply"][:9]) == (
        "sessions_per_address", 3, "192.0.2.1", "421 4.7.0",
    )  # fmt: skip
    node.clock.now += 61
    node.enter(2, "192.0.2.1")
    assert len(node.log.lines) == 4


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "192.0.2.200", "198.51.100.7"])
def test_nobody_counts_loopback_peers_and_exempt_networks(address: str) -> None:
    node = Node(
        settings(1, messages_per_address=1, exempt_networks=("127.0.0.1/32", "::1/128", "198.51.100.0/24"))
    )
    assert set(node.enter(30, address)) == {0}
    assert {node.workers[0].message(address, "", 1) for _ in range(5)} == {None}
    node.workers[0].leave(address)


def test_a_limit_of_nought_is_none() -> None:
    node = Node(
        settings(0, sessions_per_prefix=0, connections_per_address=0, connections_per_prefix=0, messages_per_user=0,
                 recipients_per_user=0, sessions_per_user=0)
    )  # fmt: skip
    assert set(node.enter(2000, "192.0.2.1")) == {0}
    assert {node.workers[0].enter_user("alice", "192.0.2.1") for _ in range(99)} == {None}
    assert {node.workers[0].message("192.0.2.1", "alice", 100) for _ in range(99)} == {None}


def test_sessions_of_a_user() -> None:
    node = Node(settings(sessions_per_user=2))
    found = [node.workers[n % 2].enter_user("alice@corp.test", f"192.0.2.{n}") for n in range(3)]
    assert [str(reply)[:9] if reply else "" for reply in found] == ["", "", "421 4.7.0"]
    node.workers[0].leave_user("alice@corp.test")
    assert node.workers[1].enter_user("alice@corp.test", "192.0.2.7") is None
    assert node.log.lines[0][1]["user"] == "alice@corp.test"


def test_messages_and_recipients_of_a_user_in_an_hour() -> None:
    node = Node(settings(messages_per_user=3, recipients_per_user=10))
    one, two = node.workers
    found = [
        one.message("192.0.2.1", "alice", 4),
        two.message("::9", "alice", 4),
        one.message("::9", "alice", 4),
    ]
    assert [str(reply)[:9] if reply else "" for reply in found] == ["", "", "450 4.7.1"]
    assert two.message("192.0.2.1", "alice", 1) is not None
    assert two.message("192.0.2.1", "bob", 1) is None
    assert node.limits() == ["recipients_per_user", "messages_per_user"]
    node.clock.now += 7201
    assert one.message("192.0.2.1", "alice", 4) is None


def test_messages_of_an_address_in_a_minute_where_the_settings_say_so() -> None:
    node = Node(settings(messages_per_address=2))
    found = [node.workers[n % 2].message("192.0.2.1", "", 50) for n in range(3)]
    assert [reply.code if reply else 0 for reply in found] == [0, 0, 450]


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"prefix4": 33}, "limits.prefix4: 33 is no length of an IPv4 prefix"),
        ({"prefix6": 0}, "limits.prefix6: 0 is no length of an IPv6 prefix"),
        ({"sessions_per_user": -1}, "limits.sessions_per_user: -1 is less than nothing"),
        ({"exempt_networks": ("here",)}, "limits.exempt_networks: 'here' does not appear to be"),
    ],
)
def test_limits_that_cannot_be_meant(limits: dict[str, Any], text: str) -> None:
    (problem,) = wrong_limits(settings(**limits))
    assert problem.startswith(text)
    assert list(wrong_limits(settings())) == []
