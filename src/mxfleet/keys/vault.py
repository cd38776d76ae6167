"""The vault: `state/<fleet>/vault/<name>.age`, each secret one age file; plain text never touches the disk."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pyrage

from mxfleet.errors import StateError, StateMissing
from mxfleet.fleet.model import Fleet
from mxfleet.keys.ledger import sync_directory
from mxfleet.keys.private_files import read_private, write_new_private

SUFFIX = ".age"
age: Any = pyrage  # a compiled module without type information


@dataclass(frozen=True, slots=True)
class Vault:
    """A directory of age files, the operator's identity file, and who else can open what is written.

    Without recipients only the identity's own public key can. Names are paths such as `dkim/corp.test/r2026…`.
    """

    directory: Path
    identity: Path
    recipients: tuple[str, ...] = ()

    @classmethod
    def of(cls, fleet: Fleet, root: Path = Path()) -> "Vault":
        """The vault of a fleet in the checkout `root`."""
        identity = root / fleet.vault.identity.path.expanduser()
        return cls(root / fleet.state_directory / "vault", identity, fleet.vault.recipients)

    def read(self, name: str) -> bytes:
        """The secret; raises StateMissing where there is none, StateError where the identity does not open it."""
        path = self._path(name)
        try:
            sealed = path.read_bytes()
        except FileNotFoundError:
            raise StateMissing(f"the vault has no {name}", hint=_maker(name)) from None
        try:
            plain: bytes = age.decrypt(sealed, [self._identity()])
            return plain
        except age.DecryptError as error:
            raise StateError(
                f"{self.identity} does not open {path}: {error}",
                hint="use an identity that is among the vault's recipients",
            ) from error

    def write(self, name: str, secret: bytes) -> None:
        """Seal the secret and have it on the disk under its name; what was there before is replaced at once."""
        path = self._path(name)
        sealed = age.encrypt(secret, self._recipients())
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(sealed)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_directory(path.parent)

    def has(self, name: str) -> bool:
        """Whether there is a secret of that name; does not open it."""
        return self._path(name).exists()

    def names(self, under: str = "") -> list[str]:
        """All names, sorted; with `under`, those that begin with it."""
        found = (
            unquote(str(path.relative_to(self.directory)).removesuffix(SUFFIX))
            for path in self.directory.rglob(f"*{SUFFIX}")
            if not path.name.startswith(".")
        )
        return sorted(name for name in found if name.startswith(under))

    def ensure_identity(self) -> bool:
        """Make the operator's identity (0600) where the vault is new and nobody else is named; says whether.

        Raises StateMissing where it cannot be made up: recipients are named, or the vault holds secrets already.
        """
        if self.identity.exists():
            return False
        if self.recipients or self.names():
            raise StateMissing(
                f"no age identity {self.identity} to open the vault {self.directory}",
                hint="put the fleet's identity there, mode 0600",
            )
        identity = age.x25519.Identity.generate()
        write_new_private(self.identity, f"# public key: {identity.to_public()}\n{identity}\n".encode())
        return True

    def _path(self, name: str) -> Path:
        parts = name.split("/")
        if not all(parts) or {".", ".."} & set(parts):
            raise StateError(f"{name!r} cannot be a name in the vault")
        return self.directory.joinpath(*(quote(part, safe="@+") for part in parts[:-1])) / (
            quote(parts[-1], safe="@+") + SUFFIX
        )

    def _identity(self) -> Any:  # noqa: ANN401  (pyrage.x25519.Identity)
        content = read_private(self.identity, "age identity", "mxfleet dkim init")
        match = re.search(
            r"^(AGE-SECRET-KEY-1[0-9A-Z]+)\s*$", content.decode("ascii", "replace"), re.MULTILINE
        )
        try:
            return age.x25519.Identity.from_str(match[1] if match else "")
        except age.IdentityError as error:
            raise StateError(
                f"{self.identity} is not an age identity file", hint="age-keygen writes such a file"
            ) from error

    def _recipients(self) -> list[Any]:
        own = str(self._identity().to_public())
        if not self.recipients:
            return [age.x25519.Recipient.from_str(own)]
        if own not in self.recipients:
            raise StateError(
                f"{self.identity} ({own}) is not among the vault's recipients: you could not read what you write",
                hint="add it to Vault(recipients=...) or use another identity",
            )
        return [_recipient(text) for text in self.recipients]


def _recipient(text: str) -> Any:  # noqa: ANN401  (pyrage.x25519.Recipient or pyrage.ssh.Recipient)
    try:
        kind = age.ssh if text.startswith("ssh-") else age.x25519
        return kind.Recipient.from_str(text)
    except age.RecipientError as error:
        raise StateError(
            f"vault recipient {text!r} is not an age recipient", hint="it looks like age1… or ssh-ed25519 …"
        ) from error


def _maker(name: str) -> str:
    first, _, rest = name.partition("/")
    commands = {
        "dkim": "mxfleet dkim init",
        "tls": "mxfleet tls init",
        "backup": "mxfleet dkim init",
        "srs": "mxfleet dkim init",
        "accounts": f"mxfleet account set {rest}",
    }
    return commands.get(first, f"mxfleet account secret {name}")
