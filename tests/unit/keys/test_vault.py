"""The vault and the references to secrets: who can open what, and what is said when nobody can."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.errors import StateError, StateMissing
from mxfleet.fleet.load import load_file
from mxfleet.fleet.secrets import EnvSecret, FileSecret, Secret
from mxfleet.keys.secrets import resolve
from mxfleet.keys.vault import Vault

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    made = Vault(tmp_path / "vault", tmp_path / "private" / "identity.txt")
    made.ensure_identity()
    return made


def public_key(vault: Vault) -> str:
    return vault.identity.read_text().splitlines()[0].removeprefix("# public key: ")


def test_a_secret_comes_back_and_is_not_on_the_disk_in_plain_text(vault: Vault) -> None:
    vault.write("dkim/corp.test/r1", b"the private key")
    assert vault.read("dkim/corp.test/r1") == b"the private key"
    for path in vault.directory.parent.rglob("*"):
        assert not path.is_file() or b"the private key" not in path.read_bytes()


def test_sealed_files_and_the_identity_are_the_owners_alone(vault: Vault) -> None:
    vault.write("backup/password", b"x")
    for path in (vault.identity, vault.directory / "backup" / "password.age"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_identity_is_made_once(vault: Vault) -> None:
    before = vault.identity.read_bytes()
    assert vault.ensure_identity() is False
    assert vault.identity.read_bytes() == before


def test_a_lost_identity_is_not_replaced_by_one_that_opens_nothing(vault: Vault) -> None:
    vault.write("backup/password", b"x")
    vault.identity.unlink()
    with pytest.raises(
        StateMissing, match=r"no age identity .* to open the vault .* — put the fleet's identity"
    ):
        vault.ensure_identity()


def test_no_identity_is_made_up_where_recipients_are_named(tmp_path: Path, vault: Vault) -> None:
    named = Vault(tmp_path / "other", tmp_path / "nowhere.txt", (public_key(vault),))
    with pytest.raises(StateMissing, match="no age identity"):
        named.ensure_identity()


def test_every_recipient_can_open_what_is_written(tmp_path: Path, vault: Vault) -> None:
    colleague = Vault(vault.directory, tmp_path / "colleague.txt")
    Vault(tmp_path / "empty", colleague.identity).ensure_identity()
    team = Vault(vault.directory, vault.identity, (public_key(vault), public_key(colleague)))
    team.write("dkim/corp.test/r1", b"shared")
    assert colleague.read("dkim/corp.test/r1") == b"shared"


def test_who_could_not_read_it_again_cannot_write_it(tmp_path: Path, vault: Vault) -> None:
    other = Vault(tmp_path / "elsewhere", tmp_path / "stranger.txt")
    other.ensure_identity()
    stranger = public_key(other)
    with pytest.raises(
        StateError, match="is not among the vault's recipients: you could not read what you write"
    ):
        Vault(vault.directory, vault.identity, (stranger,)).write("a", b"x")


def test_another_identity_is_told_that_it_opens_nothing(tmp_path: Path, vault: Vault) -> None:
    vault.write("a", b"x")
    other = Vault(vault.directory, tmp_path / "other.txt")
    Vault(tmp_path / "empty", other.identity).ensure_identity()
    with pytest.raises(StateError, match=r"other\.txt does not open .*a\.age: .* — use an identity"):
        other.read("a")


def test_a_damaged_file_is_an_error_and_not_a_secret(vault: Vault) -> None:
    vault.write("a", b"x")
    (vault.directory / "a.age").write_bytes((vault.directory / "a.age").read_bytes()[:-3])
    with pytest.raises(StateError, match=r"does not open .*a\.age"):
        vault.read("a")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("dkim/corp.test/r1", "mxfleet dkim init"),
        ("tls/mx.corp.test/p1", "mxfleet tls init"),
        ("accounts/alice@corp.test", "mxfleet account set alice@corp.test"),
        ("routes/exchange", "mxfleet account secret routes/exchange"),
    ],
)
def test_a_missing_secret_names_the_command_that_makes_it(vault: Vault, name: str, command: str) -> None:
    with pytest.raises(StateMissing) as caught:
        vault.read(name)
    assert str(caught.value) == f"the vault has no {name} — {command}"


def test_an_identity_that_others_can_read_is_refused(vault: Vault) -> None:
    vault.identity.chmod(0o640)
    with pytest.raises(StateError, match=r"age identity .* can be read by others \(mode 0640\) — chmod 600"):
        vault.write("a", b"x")


def test_a_file_that_is_no_identity_is_refused(vault: Vault) -> None:
    vault.identity.write_text("# nothing here\n")
    with pytest.raises(StateError, match="is not an age identity file"):
        vault.write("a", b"x")


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../up", "a//b", "a/../b", "a/."])
def test_a_name_cannot_leave_the_vault(vault: Vault, name: str) -> None:
    with pytest.raises(StateError, match="cannot be a name in the vault"):
        vault.write(name, b"x")


@given(
    st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20), min_size=1)
)
def test_a_name_is_one_file_in_the_vault_or_none(parts: list[str]) -> None:
    vault = Vault(Path("/vault"), Path("/identity"))
    try:
        path = vault._path("/".join(parts))
    except StateError:
        return
    assert path.is_relative_to("/vault")
    assert ".." not in path.parts
    assert str(path).endswith(".age")


def test_names_are_listed_as_they_were_given(vault: Vault) -> None:
    names = ["accounts/o'brien+%41/x@corp.test", "backup/password", "dkim/corp.test/r1"]
    for name in names:
        vault.write(name, b"x")
    assert vault.names() == names
    assert vault.names("dkim/") == ["dkim/corp.test/r1"]
    assert vault.has("backup/password")
    assert not vault.has("backup/passwor")


def test_a_secret_is_found_by_each_kind_of_reference(tmp_path: Path, vault: Vault) -> None:
    file = tmp_path / "tsig.secret"
    file.write_text("c2VjcmV0\n")
    file.chmod(0o600)
    vault.write("routes/exchange", b"from the vault")
    assert resolve(FileSecret(file), vault, {}) == b"c2VjcmV0"
    assert resolve(FileSecret(Path("tsig.secret")), vault, {}, tmp_path) == b"c2VjcmV0"
    assert resolve(EnvSecret("TOKEN"), vault, {"TOKEN": "from the environment"}) == b"from the environment"
    assert resolve(Secret("routes/exchange"), vault, {}) == b"from the vault"


def test_a_secret_file_that_others_can_read_is_refused(tmp_path: Path, vault: Vault) -> None:
    file = tmp_path / "tsig.secret"
    file.write_text("c2VjcmV0\n")
    file.chmod(0o644)
    with pytest.raises(StateError, match=r"secret file .* can be read by others \(mode 0644\) — chmod 600 "):
        resolve(FileSecret(file), vault, {})


def test_a_secret_that_is_nowhere_says_where_it_was_sought(tmp_path: Path, vault: Vault) -> None:
    with pytest.raises(StateMissing, match="the environment has no TOKEN — export TOKEN=…"):
        resolve(EnvSecret("TOKEN"), vault, {"TOKEN": ""})
    with pytest.raises(StateMissing, match=r"no secret file .*nothing — write it there, mode 600"):
        resolve(FileSecret(tmp_path / "nothing"), vault, {})


def test_the_vault_of_a_fleet_is_beside_its_ledger() -> None:
    fleet = load_file(ROOT / "inventories" / "lab.py")
    vault = Vault.of(fleet, Path("/clone"))
    assert vault.directory == Path("/clone/state/lab/vault")
    assert vault.identity == Path("/clone/state/lab/identity.txt")
    assert Vault.of(load_file(ROOT / "inventories" / "example.py")).identity == Path(
        os.path.expanduser("~/.config/mxfleet/identity.txt")  # noqa: PTH111  (what a shell would make of it)
    )
