"""dkim, tls and account from the command line: exit codes, JSON, and sentences for mistakes."""

import io
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import mxfleet.cli.account
import mxfleet.cli.dkim
import mxfleet.cli.dns
import mxfleet.cli.looking
import mxfleet.cli.tls
from mxfleet.cli import main
from mxfleet.fleet.load import load_file
from mxfleet.keys.accounts import matches
from mxfleet.keys.authority import issue, make_authority
from mxfleet.keys.ledger import read_signing
from mxfleet.keys.sight import NodeSight
from mxfleet.keys.vault import Vault

INVENTORIES = Path(__file__).resolve().parents[3] / "inventories"
LAB, EXAMPLE = str(INVENTORIES / "lab.py"), str(INVENTORIES / "example.py")
SINGLE = str(INVENTORIES / "single.py")


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (mxfleet.cli.account, mxfleet.cli.dkim, mxfleet.cli.dns, mxfleet.cli.tls):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MXFLEET_FLEET", raising=False)
    return tmp_path


def entering(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_init_mints_what_is_missing_and_then_nothing(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    assert main(["dkim", "init", "--fleet", LAB]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"made the age identity {root}/state/lab/identity.txt: keep a copy elsewhere")
    assert said.count("minted ") == 4
    assert said.endswith("next: mxfleet dns apply\n")
    assert main(["dkim", "init", "--fleet", LAB]) == 0
    assert capsys.readouterr().out == "nothing to do: every sending domain has its keys\n"


def test_init_as_json_names_the_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dkim", "init", "--fleet", LAB, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["identity_made"] is True
    assert [(key["domain"], key["algorithm"]) for key in facts["minted"]] == [
        ("corp.test", "rsa"), ("corp.test", "ed25519"), ("shop.test", "rsa"), ("shop.test", "ed25519"),
    ]  # fmt: skip


def test_status_says_where_each_key_is_and_what_it_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    main(["dkim", "init", "--fleet", LAB])
    capsys.readouterr()
    assert main(["dkim", "status", "--ledger", "--fleet", LAB]) == 0
    said = capsys.readouterr().out
    assert said.count("minted     since ") == 4
    assert "mxfleet dns apply publishes it" in said
    assert "has no active key: its mail would leave unsigned" in said
    assert main(["dkim", "status", "--ledger", "--fleet", LAB, "--json"]) == 0
    assert {key["state"] for key in json.loads(capsys.readouterr().out)["keys"]} == {"minted"}


def test_a_fleet_without_state_is_told_how_to_begin(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    for words in (["dkim", "status"], ["tls", "status"], ["dns", "plan"]):
        assert main([*words, "--fleet", LAB]) == 1
        assert capsys.readouterr().err == f"mxfleet: no ledger in {root}/state/lab — mxfleet dkim init\n"


def test_a_laboratory_gets_certificates_and_a_production_fleet_is_told_to_import(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["tls", "init", "--fleet", SINGLE]) == 0
    assert capsys.readouterr().out.count("issued a certificate for ") == 2
    assert main(["tls", "init", "--fleet", SINGLE]) == 0
    assert capsys.readouterr().out.startswith("nothing to do: ")
    without = tmp_path / "without.py"
    without.write_text(
        re.sub(r"    acme=Acme\(.*?\n    \),\n", "", Path(EXAMPLE).read_text(), flags=re.DOTALL)
    )
    assert main(["tls", "init", "--fleet", str(without)]) == 1
    assert capsys.readouterr().err == (
        "mxfleet: fleet 'example' is no laboratory and names no authority: nobody would trust a certificate "
        "of our own making — acme=Acme(...) in the inventory, or mxfleet tls import NAME --chain FILE --key FILE\n"
    )


def test_a_certificate_is_imported_into_vault_and_ledger(
    capsys: pytest.CaptureFixture[str], root: Path, tmp_path: Path
) -> None:
    authority = make_authority("elsewhere", datetime.now(UTC))
    fact, key = issue(authority, "mx.example.org", datetime.now(UTC))
    chain, private = tmp_path / "fullchain.pem", tmp_path / "key.pem"
    chain.write_bytes(fact.chain.encode() + authority.certificate.public_bytes(Encoding.PEM))
    private.write_bytes(key)
    words = [
        "tls",
        "import",
        "mx.example.org",
        "--chain",
        str(chain),
        "--key",
        str(private),
        "--fleet",
        EXAMPLE,
    ]
    private.chmod(0o644)
    assert main(words) == 1
    assert "can be read by others (mode 0644) — chmod 600 " in capsys.readouterr().err
    private.chmod(0o600)
    assert main(words) == 0
    [certificate] = read_signing(root / "state/example").certificates
    assert certificate.name == "mx.example.org"
    assert b"PRIVATE KEY" in Vault.of(load_file(Path(EXAMPLE)), root).read(certificate.secret.name)
    assert main(["tls", "status", "--ledger", "--fleet", EXAMPLE]) == 0
    said = capsys.readouterr().out
    assert "mx.example.org               import     89 days left" in said
    assert "mx1.example.org              no certificate" in said


def test_nodes_are_asked_for_certificates_whose_keys_have_no_life_in_dns_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a laboratory, or of a fleet without an authority."""
    main(["tls", "init", "--fleet", SINGLE])
    monkeypatch.setattr(mxfleet.cli.looking, "look_at_nodes", lambda *_: (NodeSight("mx1"),))
    capsys.readouterr()
    assert main(["tls", "status", "--fleet", SINGLE]) == 0
    assert (
        "    ! mx1: another certificate is there, or is shown; next: mxfleet tend" in capsys.readouterr().out
    )
    assert main(["tls", "status", "--ledger", "--fleet", SINGLE]) == 0
    assert "another certificate" not in capsys.readouterr().out


def test_a_certificate_for_a_stranger_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tls", "import", "www.example.org", "--chain", "x", "--key", "y", "--fleet", EXAMPLE]) == 1
    assert (
        "fleet 'example' has no host www.example.org — its names are mx.example.org, mx1"
        in capsys.readouterr().err
    )


def test_a_password_is_read_from_standard_input_and_only_its_hash_is_kept(
    capsys: pytest.CaptureFixture[str], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entering(monkeypatch, "correct horse\n")
    assert main(["account", "set", "alice@corp.test", "--fleet", LAB]) == 0
    assert capsys.readouterr().out == "alice@corp.test: password set; next: mxfleet deploy\n"
    phc = Vault.of(load_file(Path(LAB)), root).read("accounts/alice@corp.test").decode()
    assert matches("correct horse", phc)
    entering(monkeypatch, "correct horse\n")
    assert main(["account", "set", "alice@corp.test", "--fleet", LAB, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"account": "alice@corp.test", "changed": False}


def test_mistakes_about_accounts_are_sentences(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["account", "set", "mallory@corp.test", "--fleet", LAB]) == 1
    assert (
        "has no account mallory@corp.test — its accounts are alice@corp.test, bob" in capsys.readouterr().err
    )
    entering(monkeypatch, "\n")
    assert main(["account", "set", "alice@corp.test", "--fleet", LAB]) == 1
    assert "nothing was entered — type it, or give it on standard input" in capsys.readouterr().err
    assert main(["account", "secret", "dkim/corp.test/x", "--fleet", LAB]) == 1
    assert "dkim/corp.test/x has a command of its own" in capsys.readouterr().err


def test_any_other_secret_is_sealed_as_it_is(
    capsys: pytest.CaptureFixture[str], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entering(monkeypatch, "the next hop's password\n")
    assert main(["account", "secret", "routes/exchange", "--fleet", EXAMPLE]) == 0
    assert Vault.of(load_file(Path(EXAMPLE)), root).read("routes/exchange") == b"the next hop's password"
    assert "password" not in capsys.readouterr().out


def test_the_tsig_secret_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    main(["dkim", "init", "--fleet", EXAMPLE])
    capsys.readouterr()
    assert main(["dns", "plan", "--fleet", EXAMPLE]) == 1
    assert capsys.readouterr().err == "mxfleet: the environment has no MXFLEET_TSIG — export MXFLEET_TSIG=…\n"


def test_a_tsig_secret_that_is_not_base64_is_named_without_being_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MXFLEET_TSIG", "hunter2-hunter2")
    main(["dkim", "init", "--fleet", EXAMPLE])
    capsys.readouterr()
    assert main(["dns", "plan", "--fleet", EXAMPLE]) == 1
    said = capsys.readouterr().err
    assert "the TSIG secret for zone example.org is not base64" in said
    assert "hunter2" not in said
