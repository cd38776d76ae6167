"""`mxfleet tend`, `dkim status | rotate | compromise` as typed, with a private Knot and a node that cannot be reached."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import mxfleet.cli.dkim
import mxfleet.cli.dns
import mxfleet.cli.tend
from mxfleet.cli import main
from mxfleet.keys.ledger import read_state
from tests.contract import nameservers
from tests.contract.nameservers import zone_text

INVENTORY = """
from pathlib import Path
from mxfleet.fleet import *
_KNOT = Rfc2136(server="127.0.0.1", port={port}, key_name="mxfleet.", key=EnvSecret("TSIG"))
FLEET = Fleet(
    name="small",
    laboratory=True,
    nodes=(Node(name="mx1", hostname="mx1.corp.test", address4=Address4("127.0.0.9")),),
    domains=(Domain(name="corp.test", recipients=("alice",), route=Lmtp("office.corp.test", 24)),),
    admin_networks=(Network4("10.77.0.1/32"),),
    zones=(Zone(name="corp.test", provider=_KNOT),),
    ssh=Ssh(port=1),
    vault=Vault(identity=FileSecret(Path("{root}/identity.txt"))),
    policy=Policy(record_ttl=60, keys=KeyPeriods(ttl=60, visible=0, drain=432000)),
)
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with nameservers.running("knot", tmp_path / "knot", {"corp.test": zone_text("corp.test")}) as running:
        (tmp_path / "small.py").write_text(INVENTORY.format(port=running.port, root=tmp_path))
        for module in (mxfleet.cli.dns, mxfleet.cli.dkim, mxfleet.cli.tend):
            monkeypatch.setattr(module, "ROOT", tmp_path)
        monkeypatch.setenv("MXFLEET_FLEET", str(tmp_path / "small.py"))
        monkeypatch.setenv("TSIG", nameservers.SECRET)
        assert main(["dkim", "init"]) == 0
        yield tmp_path


def states(root: Path) -> list[str]:
    return sorted(str(key.state) for key in read_state(root / "state" / "small").dkim())


def with_spares(root: Path) -> None:
    """Published, active, and a spare of each that every server shows."""
    main(["dns", "apply"])
    for _ in range(20):
        main(["tend"])
        if states(root) == ["active", "active", "visible", "visible"]:
            return
    raise AssertionError(states(root))


def test_tend_publishes_and_activates_and_touches_no_other_record(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["tend"]) == 2  # the servers were asked before anything was published
    assert "2 key records changed in DNS\n" in capsys.readouterr().out
    main(["tend"])
    assert states(root) == ["visible", "visible"]
    main(["tend"])
    said = capsys.readouterr().out
    assert said.count(": visible → active\n") == 2
    main(["tend"])
    assert states(root)[:2] == ["active", "active"]
    assert main(["dns", "plan"]) == 2  # MX, SPF and the rest wait for somebody who reads the plan


def test_a_node_that_cannot_be_reached_is_named_in_status_and_holds_what_needs_it(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["dns", "apply"])
    main(["tend"])
    capsys.readouterr()
    assert main(["dkim", "rotate", "corp.test", "--wait", "1", "--json"]) == 2
    json.loads(capsys.readouterr().out)
    main(["dkim", "status"])
    said = capsys.readouterr().out
    assert "no node could be asked for the time" in said
    assert said.count(" signs\n") == 2
    assert main(["dkim", "rotate", "else.test"]) == 1
    assert (
        capsys.readouterr().err
        == "mxfleet: fleet 'small' signs for no domain else.test — it signs for corp.test\n"
    )


def test_a_compromised_key_is_withdrawn_with_its_price_even_while_a_node_is_away(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_spares(root)
    lost = next(k for k in read_state(root / "state" / "small").signers() if k.algorithm == "rsa")
    capsys.readouterr()
    assert main(["dkim", "compromise", lost.label]) == 2
    said = capsys.readouterr().out
    assert (
        f"! mail signed with {lost.label} of corp.test that is still on its way loses that signature" in said
    )
    assert "! mx1 cannot be asked (port 1 does not answer): it may still sign with the key" in said
    assert "revoked in DNS" in said
    state = read_state(root / "state" / "small")
    [heir] = [key for key in state.signers() if key.algorithm == "rsa"]
    assert f"corp.test: {lost.label} → {heir.label}\n" in said
    assert main(["dkim", "compromise", "x1"]) == 1
    assert main(["dkim", "compromise"]) == 1
    assert "which key? none was named" in capsys.readouterr().err


def test_without_a_spare_a_new_key_is_minted_published_and_waited_for(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["dns", "apply"])
    lost = next(k for k in read_state(root / "state" / "small").signers() if k.algorithm == "rsa")
    capsys.readouterr()
    assert main(["dkim", "compromise", lost.label, "--wait", "20"]) == 2  # the node cannot be reached
    said = capsys.readouterr().out
    assert "no spare rsa key of corp.test is visible: its mail leaves without that signature" in said
    assert f"corp.test: {lost.label} → nothing: unsigned by this algorithm\n" in said
    keys = {
        k.label: str(k.state) for k in read_state(root / "state" / "small").dkim() if k.algorithm == "rsa"
    }
    assert keys.pop(lost.label) == "revoked"
    assert "active" in keys.values()


def test_a_lost_key_may_be_left_in_dns_for_the_mail_on_its_way(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_spares(root)
    lost = next(k for k in read_state(root / "state" / "small").signers() if k.algorithm == "rsa")
    capsys.readouterr()
    assert main(["dkim", "compromise", lost.label, "--drain", "3600", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["costs"][0].startswith(
        f"{lost.label} of corp.test stays in DNS for 1:00:00 after the last node"
    )
    assert [step["from"] for step in told["takeover"]] == [lost.label]
    [key] = [k for k in read_state(root / "state" / "small").dkim() if k.label == lost.label]
    assert (str(key.state), key.drain) == ("draining", 3600)
