"""The double as the lab runs it: a real Knot shows what the provider writes to the API, some time later."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mxfleet.dns.families import Family
from mxfleet.dns.plan import Change
from mxfleet.dns.providers.cloudflare import CloudflareProvider, connect
from mxfleet.dns.providers.rfc2136 import Rfc2136Provider
from mxfleet.dns.providers.transport import Server
from mxfleet.dns.records import Record, mx, tlsa, txt
from tests.cloudflare_double.account import Account
from tests.cloudflare_double.publishing import Primary, Publisher
from tests.cloudflare_double.server import Double, running
from tests.contract import nameservers
from tests.contract.nameservers import Nameserver, zone_text

ZONE = "corp.test"
LAG = 1.0
FOREIGN = ["@ TXT verification=1", "@ MX 5 old", "old A 10.0.0.2", "_25._tcp.old TLSA 3 1 1 " + "cd" * 32]


@dataclass
class Lab:
    """The API, what stands behind it, and the two sides from which it is looked at."""

    knot: Nameserver
    api: CloudflareProvider

    def apply(self, *changes: Change) -> None:
        self.api.apply(ZONE, changes, self.api.read(ZONE, ()))

    def world(self) -> dict[tuple[str, str], list[str]]:
        """What the name server shows of these names, but for its own SOA and NS."""
        provider = Rfc2136Provider(Server("127.0.0.1", self.knot.port, self.knot.key))
        found: dict[tuple[str, str], list[str]] = {}
        names = {ZONE, "old.corp.test", "_25._tcp.old.corp.test", "k.corp.test"}
        for record in provider.read(ZONE, names).records:
            if record.type in ("TXT", "MX", "A", "TLSA"):
                found.setdefault((record.name, record.type), []).append(record.value)
        return {key: sorted(values) for key, values in found.items()}

    def shows(self, name: str, kind: str, values: list[str], seconds: float = 20) -> bool:
        end = time.monotonic() + seconds
        while self.world().get((name, kind), []) != values:
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True


def begun(knot: Nameserver, lag: float) -> Double:
    account = Account()
    account.add(ZONE)
    Publisher(Primary("127.0.0.1", knot.port, knot.key), lag).begin(account)
    return Double(account, time.monotonic)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    text = zone_text(ZONE, *FOREIGN)
    with (
        nameservers.running("knot", tmp_path, {ZONE: text}) as knot,
        running(begun(knot, LAG)) as double,
    ):
        yield Lab(knot, connect(double.account.token, address=double.address))


def come(record: Record) -> Change:
    return Change(None, record, Family.DKIM, "test")


def test_the_account_begins_with_what_the_server_has_and_never_removes_it(lab: Lab) -> None:
    before = lab.world()
    held = {(record.name, record.type) for record in lab.api.read(ZONE, ()).records}
    assert set(before) <= held
    long = txt("k.corp.test", 60, b"x" * 300)
    lab.apply(come(long))
    assert lab.shows("k.corp.test", "TXT", [long.value])
    assert before.items() <= lab.world().items()


def test_the_world_sees_a_change_late_and_whole(lab: Lab) -> None:
    [old] = lab.api.read(ZONE, ()).rrset(ZONE, "MX")
    changed = time.monotonic()
    lab.apply(
        Change(old, mx(ZONE, 60, 10, "mx.corp.test"), Family.MX, "test"),
        come(tlsa("old.corp.test", 25, 60, "ab" * 32)),
        come(txt(ZONE, 60, b"v=spf1 -all")),
    )
    assert lab.shows(ZONE, "MX", ["10 mx.corp.test."])
    assert time.monotonic() - changed >= LAG
    shown = lab.world()
    assert shown[ZONE, "TXT"] == ['"v=spf1 -all"', '"verification=1"']
    assert shown["_25._tcp.old.corp.test", "TLSA"] == [f"3 1 1 {'ab' * 32}", f"3 1 1 {'cd' * 32}"]


def test_what_is_removed_goes_from_the_world_too(lab: Lab) -> None:
    lab.apply(come(txt("k.corp.test", 60, b"x")))
    assert lab.shows("k.corp.test", "TXT", ['"x"'])
    [there] = lab.api.read(ZONE, ()).rrset("k.corp.test", "TXT")
    lab.apply(Change(there, None, Family.DKIM, "test"))
    assert lab.shows("k.corp.test", "TXT", [])


def test_a_double_that_is_started_again_has_what_the_first_one_showed(lab: Lab) -> None:
    lab.apply(come(txt("k.corp.test", 60, b'a "b"; c')))
    assert lab.shows("k.corp.test", "TXT", [r'"a \"b\"; c"'])
    with running(begun(lab.knot, 0)) as second:
        again = connect(second.account.token, address=second.address)
        assert set(again.read(ZONE, ()).records) == set(lab.api.read(ZONE, ()).records)
