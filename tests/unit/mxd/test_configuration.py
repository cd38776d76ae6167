"""`mxd check`: one clear line for each thing that is wrong, and never a secret."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mxfleet.errors import SettingsError
from mxfleet.mxd.command import main
from mxfleet.mxd.configuration import load, read_files
from mxfleet.mxd.digest import digest

Change = Callable[[dict[str, Any], Path], None]


@pytest.fixture
def fresh(service: Any) -> Any:
    service.write()
    return service


def test_good_settings_have_no_problems_and_load_whole(fresh: Any) -> None:
    files, problems = read_files(fresh.path)
    assert problems == []
    loaded = load(fresh.path)
    assert loaded.digest == digest(files)
    assert [key.selector for key in loaded.keys["corp.test"]] == ["r1", "e1"]
    assert len(loaded.accounts) == 1


def bad_key(settings: dict[str, Any], directory: Path) -> None:
    path = directory / "bad.pem"
    path.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    settings["dkim"][0]["key"] = str(path)


def wrong_algorithm(settings: dict[str, Any], _: Path) -> None:
    settings["dkim"][0]["key"] = settings["dkim"][1]["key"]


def missing_file(settings: dict[str, Any], directory: Path) -> None:
    settings["dkim"][0]["key"] = str(directory / "nothing.pem")


def foreign_key(settings: dict[str, Any], _: Path) -> None:
    settings["certificate"][0]["key"] = settings["certificate"][1]["key"]


def not_a_certificate(settings: dict[str, Any], _: Path) -> None:
    settings["certificate"][0]["chain"] = settings["certificate"][0]["key"]


def plain_password(settings: dict[str, Any], _: Path) -> None:
    Path(settings["paths"]["accounts"]).write_text('[[account]]\naddress = "a@corp.test"\nhash = "hunter2"\n')


def unknown_in_accounts(settings: dict[str, Any], _: Path) -> None:
    Path(settings["paths"]["accounts"]).write_text('[[account]]\nlogin = "a@corp.test"\nhash = "hunter2"\n')


def unknown_key(settings: dict[str, Any], _: Path) -> None:
    settings["service"]["wrokers"] = 2


def twice(settings: dict[str, Any], _: Path) -> None:
    settings["domain"].append(settings["domain"][0])


def capital(settings: dict[str, Any], _: Path) -> None:
    settings["domain"][0]["name"] = "Corp.test"
    settings["service"]["postmaster"] = ""


def no_postmaster(settings: dict[str, Any], _: Path) -> None:
    settings["service"]["postmaster"] = "chief@corp.test"


def scanner_alone(settings: dict[str, Any], _: Path) -> None:
    settings["rspamd"] = {}


def no_network(settings: dict[str, Any], _: Path) -> None:
    settings["policy"] = {"exempt_networks": ["192.0.2.1/24"]}


def lost_alias(settings: dict[str, Any], _: Path) -> None:
    settings["domain"][0] |= {"aliases": {"info": ["nobody"]}}


def forward_alone(settings: dict[str, Any], _: Path) -> None:
    settings["domain"][0] |= {"aliases": {"info": ["carol@peer.test"]}}


def forwarding(settings: dict[str, Any], directory: Path, key: str = "a-key-that-nobody-guesses") -> None:
    (directory / "srs").write_text(f"{key}\n")
    settings["forwarding"] = {"domain": "corp.test", "keys": str(directory / "srs")}


def weak_forwarding(settings: dict[str, Any], directory: Path) -> None:
    forwarding(settings, directory, "hunter2")


def foreign_forwarding(settings: dict[str, Any], directory: Path) -> None:
    forwarding(settings, directory)
    settings["forwarding"]["domain"] = "peer.test"


def no_route(settings: dict[str, Any], _: Path) -> None:
    del settings["domain"][0]["route"]


def mixed_route(settings: dict[str, Any], _: Path) -> None:
    hops = [{"kind": kind, "host": "127.0.0.1", "port": 1} for kind in ("lmtp", "smtp")]
    settings["domain"][0]["route"] = hops


def bare_password(settings: dict[str, Any], _: Path) -> None:
    settings["relay"] = [{"name": "*", "route": {"kind": "smtp", "host": "h", "port": 25, "username": "u"}}]
    settings["relay"][0]["route"]["password_file"] = settings["paths"]["accounts"]


def own_relay(settings: dict[str, Any], _: Path) -> None:
    settings["relay"] = [{"name": "corp.test", "route": {"kind": "smtp", "host": "h", "port": 25}}]


def odd_relay(settings: dict[str, Any], _: Path) -> None:
    settings["relay"] = [{"name": "*peer.test", "route": {"kind": "smtp", "host": "h", "port": 25}}]


def other_name_with_route(settings: dict[str, Any], _: Path) -> None:
    settings["domain"].append({**settings["domain"][0], "name": "old.test", "rewrite_to": "corp.test"})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (scanner_alone, "[rspamd] without [evidence]"),
        (no_network, "exempt_networks: 192.0.2.1/24 has host bits set"),
        (lost_alias, "alias info of corp.test: nobody@corp.test is nobody's mailbox here"),
        (forward_alone, "an alias leads to carol@peer.test, which is not ours: that needs [forwarding]"),
        (weak_forwarding, "srs: SRS needs at least one key, of 16 octets or more"),
        (foreign_forwarding, "forwarding.domain: peer.test is no domain of ours"),
        (no_route, "[[domain]] corp.test: has no route"),
        (mixed_route, "[[domain]] corp.test: next hops of both kinds, smtp and lmtp"),
        (bare_password, "[[relay]] *: h has a username but not require_tls: a password needs TLS"),
        (own_relay, "[[relay]] corp.test: is a domain of ours, whose route stands there"),
        (odd_relay, "[[relay]] *peer.test: not a domain in lower-case A-labels, *.domain or *"),
        (other_name_with_route, "[[domain]] old.test: is another name of corp.test, and has recipients"),
        (bad_key, "bad.pem: not a key that signs for corp.test"),
        (wrong_algorithm, "is an ed25519-sha256 key, [[dkim]] says rsa"),
        (missing_file, "nothing.pem: named in {path} but not there"),
        (foreign_key, "does not belong to the certificate in"),
        (not_a_certificate, "not a certificate chain in PEM"),
        (plain_password, "the hash of a@corp.test is not an Argon2id PHC string"),
        (unknown_in_accounts, "accounts.toml: Object"),
        (unknown_key, "Object contains unknown field `wrokers` - at `$.service`"),
        (twice, "[[domain]] corp.test: stands there twice"),
        (capital, "[[domain]] Corp.test: write corp.test"),
        (no_postmaster, "service.postmaster: chief@corp.test is nobody's mailbox here"),
    ],
)
def test_each_mistake_is_one_line_that_names_it(
    service: Any, change: Change, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(service.settings, service.directory)
    service.write()
    assert main(["check", str(service.path)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert expected.replace("{path}", str(service.path)) in line
    assert "hunter2" not in line
    assert "c2VjcmV0" not in line
    with pytest.raises(SettingsError):
        load(service.path)


def test_all_mistakes_are_named_at_once(service: Any) -> None:
    for change in (foreign_key, plain_password, twice):
        change(service.settings, service.directory)
    service.write()
    assert len(read_files(service.path)[1]) == 3


def test_no_settings_at_all_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "mxd.toml")]) == 1
    assert "mxd.toml: cannot be read: No such file or directory" in capsys.readouterr().err


def test_the_digest_changes_with_every_octet_that_is_loaded_and_with_nothing_else(fresh: Any) -> None:
    before = digest(read_files(fresh.path)[0])
    assert digest(read_files(fresh.path)[0]) == before
    fresh.path.write_text(fresh.path.read_text() + "\n")
    changed = digest(read_files(fresh.path)[0])
    assert changed != before
    accounts = Path(fresh.settings["paths"]["accounts"])
    accounts.write_text(accounts.read_text() + "\n")
    assert len({before, changed, digest(read_files(fresh.path)[0])}) == 3
    assert digest({}, "1") != digest({}, "2")
    assert digest({"a": b"x", "b": b"y"}) == digest({"b": b"y", "a": b"x"}) != digest({"a": b"y", "b": b"x"})
