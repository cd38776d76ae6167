"""A customer's zone stays his: he delegates `_domainkey` once, and keys come and go there without him."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import mxfleet.cli.dkim
import mxfleet.cli.dns
import mxfleet.cli.tend
from mxfleet.cli import main
from mxfleet.dns import activation
from mxfleet.dns.lookup import Authority
from mxfleet.dns.providers.rfc2136 import Rfc2136Provider
from mxfleet.dns.providers.transport import Server
from mxfleet.keys.ledger import read_state
from tests.contract import nameservers
from tests.contract.nameservers import Nameserver, zone_text
from tests.contract.test_dns_tending import INVENTORY

CUSTOMER = "_domainkey.shop.test"
SHOP = 'Domain(name="shop.test", recipients=("sales",), route=Lmtp("office.corp.test", 24))'
ZONE = f'Zone(name="{CUSTOMER}", provider=_KNOT)'
CHANGES = (
    ('route=Lmtp("office.corp.test", 24)),)', f'route=Lmtp("office.corp.test", 24)), {SHOP})'),
    (
        'zones=(Zone(name="corp.test", provider=_KNOT),)',
        f'zones=(Zone(name="corp.test", provider=_KNOT), {ZONE})',
    ),
)


@pytest.fixture
def knot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nameserver]:
    zones = {name: zone_text(name) for name in ("corp.test", CUSTOMER)}
    with nameservers.running("knot", tmp_path / "knot", zones) as running:
        text = INVENTORY
        for old, new in CHANGES:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "small.py").write_text(text.format(port=running.port, root=tmp_path))
        for module in (mxfleet.cli.dns, mxfleet.cli.dkim, mxfleet.cli.tend):
            monkeypatch.setattr(module, "ROOT", tmp_path)
        monkeypatch.setenv("MXFLEET_FLEET", str(tmp_path / "small.py"))
        monkeypatch.setenv("TSIG", nameservers.SECRET)
        assert main(["dkim", "init"]) == 0
        yield running


def test_keys_of_a_customer_are_published_and_seen_in_the_zone_that_he_delegated(
    knot: Nameserver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["dns", "apply"]) == 0
    said = capsys.readouterr().out
    assert said.count(" of shop.test: every authoritative server shows it; active\n") == 2
    _, _, advice = said.partition("In zones that are not ours; whoever runs them should have:\n")
    assert "shop.test. 60 MX 10 mx1.corp.test." in advice  # his to enter
    assert CUSTOMER not in advice.partition("\nplan ")[0]
    assert main(["dns", "plan"]) == 0
    for _ in range(3):
        main(["tend"])
    keys = read_state(tmp_path / "state" / "small").dkim("shop.test")
    assert sorted(str(key.state) for key in keys) == ["active", "active", "visible", "visible"]
    provider = Rfc2136Provider(Server("127.0.0.1", knot.port, knot.key))
    names = {f"{key.label}.{CUSTOMER}" for key in keys}
    held = {record.name for record in provider.read(CUSTOMER, names).records if record.type == "TXT"}
    assert held == names


@pytest.mark.parametrize(("delegated", "zone"), [(True, CUSTOMER), (False, "shop.test")])
def test_where_others_run_the_zone_its_own_servers_say_whether_it_is_delegated(
    delegated: bool, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Resolver:
        port = 53

        def values(self, name: str, kind: str) -> list[str]:
            asked.append(name)
            known = {("shop.test", "NS"): ["ns.shop.test"], ("ns.shop.test", "A"): ["192.0.2.1"]}
            return known.get((name, kind), [])

    def refers(name: str, servers: tuple[Authority, ...]) -> bool:
        assert {server.address for server in servers} == {"192.0.2.1"}
        return name == CUSTOMER and delegated

    monkeypatch.setattr(activation, "is_delegated", refers)
    assert activation._elsewhere(CUSTOMER, Resolver()) == zone
    assert CUSTOMER not in asked  # a resolver would remember that it is not there, for every selector
