"""Secrets sealed anew are open to those whom the inventory names now, and to nobody else."""

from pathlib import Path
from typing import Any

import pyrage
import pytest

from mxfleet.cli.vault import seal_anew
from mxfleet.errors import StateError
from mxfleet.keys.vault import Vault

age: Any = pyrage
NAMES = ["backup/password", "dkim/corp.test/r1"]


def identity(path: Path) -> str:
    """A new identity file; its public key."""
    made = age.x25519.Identity.generate()
    path.write_text(f"{made}\n")
    path.chmod(0o600)
    return str(made.to_public())


def vault_of(tmp_path: Path, who: str, *recipients: str) -> Vault:
    return Vault(tmp_path / "vault", tmp_path / who, recipients)


def test_a_new_recipient_opens_everything_and_one_who_left_nothing(tmp_path: Path) -> None:
    alice, bob = identity(tmp_path / "alice"), identity(tmp_path / "bob")
    for name in NAMES:
        vault_of(tmp_path, "alice", alice).write(name, name.encode())
    assert seal_anew(vault_of(tmp_path, "alice", alice, bob)) == NAMES
    assert seal_anew(vault_of(tmp_path, "bob", bob)) == NAMES
    for name in NAMES:
        assert vault_of(tmp_path, "bob", bob).read(name) == name.encode()
        with pytest.raises(StateError):
            vault_of(tmp_path, "alice", alice).read(name)


def test_one_secret_that_does_not_open_leaves_all_as_they_are(tmp_path: Path) -> None:
    alice, bob = identity(tmp_path / "alice"), identity(tmp_path / "bob")
    vault_of(tmp_path, "alice", alice).write(NAMES[0], b"x")
    vault_of(tmp_path, "bob", bob).write(NAMES[1], b"y")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.age")}
    with pytest.raises(StateError):
        seal_anew(vault_of(tmp_path, "alice", alice, bob))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.age")} == before


def test_nobody_seals_what_he_could_not_read_again(tmp_path: Path) -> None:
    alice, bob = identity(tmp_path / "alice"), identity(tmp_path / "bob")
    vault_of(tmp_path, "alice", alice).write(NAMES[0], b"x")
    with pytest.raises(StateError, match="not among the vault's recipients"):
        seal_anew(vault_of(tmp_path, "alice", bob))
