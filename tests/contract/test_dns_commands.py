"""`mxfleet dns plan|apply` as typed, against a private Knot: exit codes, texts, JSON."""

import base64
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import mxfleet.cli.dkim
import mxfleet.cli.dns
from mxfleet.cli import main
from mxfleet.dns.families import Family
from mxfleet.dns.plan import Change
from mxfleet.dns.providers.rfc2136 import Rfc2136Provider
from mxfleet.dns.providers.transport import Server
from mxfleet.dns.records import Record, txt
from tests.contract import nameservers
from tests.contract.nameservers import Nameserver, zone_text

INVENTORY = """
from mxfleet.fleet import *
_KNOT = Rfc2136(server="127.0.0.1", port={port}, key_name="mxfleet.", key=EnvSecret("TSIG"))
FLEET = Fleet(
    name="small",
    laboratory=True,
    nodes=(Node(name="mx1", hostname="mx1.corp.test", address4=Address4("10.77.0.11")),),
    domains=(Domain(name="corp.test", recipients=("alice",), route=Lmtp("office.corp.test", 24)),),
    admin_networks=(Network4("10.77.0.1/32"),),
    zones=(Zone(name="corp.test", provider=_KNOT),),
    vault=Vault(identity=FileSecret("{root}/identity.txt")),
    policy=Policy(record_ttl=60),
)
"""


@pytest.fixture
def knot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nameserver]:
    with nameservers.running("knot", tmp_path / "knot", {"corp.test": zone_text("corp.test")}) as running:
        text = INVENTORY.format(port=running.port, root=tmp_path)
        text = text.replace(
            "from mxfleet.fleet import *", "from pathlib import Path\nfrom mxfleet.fleet import *"
        )
        inventory = tmp_path / "small.py"
        inventory.write_text(text.replace('FileSecret("', 'FileSecret(Path("').replace('.txt")', '.txt"))'))
        monkeypatch.setattr(mxfleet.cli.dns, "ROOT", tmp_path)
        monkeypatch.setattr(mxfleet.cli.dkim, "ROOT", tmp_path)
        monkeypatch.setenv("MXFLEET_FLEET", str(inventory))
        monkeypatch.setenv("TSIG", nameservers.SECRET)
        assert main(["dkim", "init"]) == 0
        yield running


def write(knot: Nameserver, text: bytes) -> None:
    provider = Rfc2136Provider(Server("127.0.0.1", knot.port, knot.key))
    change = Change(None, txt("corp.test", 60, text), Family.SPF, "by hand")
    provider.apply("corp.test", [change], provider.read("corp.test", ()))


def test_a_plan_exits_2_an_apply_0_and_the_next_plan_0(
    knot: Nameserver, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["dns", "plan"]) == 2
    planned = capsys.readouterr().out
    assert "  + corp.test. 60 MX 10 mx1.corp.test.  ; preferred exchange\n" in planned
    assert re.search(
        r"^plan [0-9a-f]{16}: 7 to create; 0 in place, 3 foreign left alone$", planned, re.MULTILINE
    )
    assert (
        "In zones that are not ours; whoever runs them should have:\n    11.0.77.10.in-addr.arpa. 60 PTR"
        in planned
    )
    assert "\x1b" not in planned  # colour is for terminals
    assert main(["dns", "apply"]) == 0
    applied = capsys.readouterr().out
    assert applied.startswith(planned)
    assert "done: 7 changes made\n" in applied
    assert applied.count(": every authoritative server shows it; active\n") == 2
    assert applied.endswith("next: mxfleet deploy (nodes sign with the active keys)\n")
    assert main(["dns", "plan"]) == 0
    assert main(["dns", "apply"]) == 0
    assert "nothing to do\n" in capsys.readouterr().out


def test_the_same_as_json(knot: Nameserver, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["dns", "plan", "--json"]) == 2
    plan = json.loads(capsys.readouterr().out)
    assert (plan["pending"], len(plan["zones"][0]["changes"]), len(plan["advice"])) == (True, 7, 1)
    assert main(["dns", "apply", "--json", "--expect", plan["checksum"]]) == 0
    applied = json.loads(capsys.readouterr().out)
    assert (applied["changed"], len(applied["active"]), applied["waiting"]) == (7, 2, [])
    assert main(["dns", "apply", "--json", "--expect", plan["checksum"]]) == 1
    error = json.loads(capsys.readouterr().out)
    assert re.match(f"the plan is [0-9a-f]+ now, not {plan['checksum']}", error["error"])
    assert error["next"] == "mxfleet dns plan"


def test_a_change_by_hand_shows_with_exit_2_and_is_replaced_only_when_told(
    knot: Nameserver, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["dns", "apply"])
    write(knot, b"v=spf1 +all")
    capsys.readouterr()
    assert main(["dns", "plan"]) == 2
    assert '  ! corp.test. 60 TXT "v=spf1 +all"\n' in capsys.readouterr().out
    assert main(["dns", "apply"]) == 1
    assert capsys.readouterr().err == (
        'mxfleet: corp.test. 60 TXT "v=spf1 +all" was not written by mxfleet: nothing was changed — '
        "mxfleet dns plan shows all; with --adopt they are replaced\n"
    )
    assert main(["dns", "apply", "--adopt"]) == 0
    assert main(["dns", "plan"]) == 0


def test_a_zone_that_the_fleet_does_not_have_is_named(
    knot: Nameserver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dns", "plan", "--zone", "else.test"]) == 1
    assert capsys.readouterr().err == (
        "mxfleet: fleet 'small' has no zone 'else.test' — its zones are corp.test\n"
    )
    assert main(["dns", "plan", "--zone", "corp.test"]) == 2


def test_a_wrong_secret_is_one_line_and_is_not_shown(
    knot: Nameserver, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TSIG", "d3Jvbmcgc2VjcmV0")
    capsys.readouterr()
    assert main(["dns", "apply"]) == 1
    said = capsys.readouterr()
    assert said.err == (
        f"mxfleet: 127.0.0.1 port {knot.port} and we have different secrets for the key mxfleet.\n"
    )
    assert "d3Jvbmcg" not in said.out + said.err


def test_a_plan_file_is_applied_as_it_was_approved_or_not_at_all(
    knot: Nameserver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "plan.json"
    assert main(["dns", "plan", "--out", str(saved)]) == 2
    assert nameservers.SECRET not in saved.read_text()
    assert main(["dns", "apply", "--plan", str(saved)]) == 0
    capsys.readouterr()
    assert main(["dns", "apply", "--plan", str(saved)]) == 1  # the zone is not what it was made for
    assert re.match(r"mxfleet: the plan is [0-9a-f]+ now, not ", capsys.readouterr().err)


def test_drift_looks_at_each_authoritative_server_too(
    knot: Nameserver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["dns", "apply"])
    capsys.readouterr()
    assert main(["dns", "drift"]) == 0
    assert "every authoritative server shows what the provider holds\n" in capsys.readouterr().out
    provider = Rfc2136Provider(Server("127.0.0.1", knot.port, knot.key))
    for record in (
        Record("corp.test", "NS", "ns2.corp.test.", 300), Record("ns2.corp.test", "A", "127.0.0.2", 300)
    ):  # fmt: skip
        change = Change(None, record, Family.ADDRESS, "by hand")
        provider.apply("corp.test", [change], provider.read("corp.test", ()))
    stale = {"corp.test": zone_text("corp.test")}
    with nameservers.running("knot", tmp_path / "second", stale, addresses=("127.0.0.2",), port=knot.port):
        assert main(["dns", "drift", "--json"]) == 2
    said = json.loads(capsys.readouterr().out)
    assert said["pending"] is False
    assert {(lag["server"], lag["says"], lag["serial"]) for lag in said["servers"]} == {
        ("ns2.corp.test", "does not have it", 1)
    }


def test_the_secret_of_the_zone_is_in_nothing_that_is_said_logged_or_written(
    knot: Nameserver, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    verbs = (
        ["plan", "--out", str(tmp_path / "plan.json")],
        ["plan", "--json"],
        ["apply"],
        ["drift", "--json"],
    )
    for verb in verbs:
        main(["dns", *verb])
    said = capsys.readouterr()
    written = {
        path.relative_to(tmp_path): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file() and tmp_path / "knot" not in path.parents
    }
    assert nameservers.SECRET in (tmp_path / "knot" / "knot.conf").read_text()  # where it has to be
    assert Path("plan.json") in written
    assert len(written) > 3  # ledger and vault too
    secret = base64.b64decode(nameservers.SECRET)
    for word in (nameservers.SECRET, secret.decode()):
        assert word not in said.out + said.err + caplog.text
        assert [path for path, content in written.items() if word.encode() in content] == []
