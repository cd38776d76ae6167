"""A file as it shall be on a node: a value, before anything is written anywhere."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from mxfleet.errors import RenderError
from mxfleet.fleet.secrets import EnvSecret, FileSecret, SecretReference

Resolve = Callable[[SecretReference], bytes]
"""From a reference to the secret itself; only the operator's machine has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file: its text, owner and mode, and `check`, the reader's own test of it.

    In `check`, `{}` stands for the path of the copy that is tested before it goes live; `late` says that the
    test needs what the same role puts in place before it. Where `secrets` is not empty, `text` holds a mark
    (`mark(reference)`) for each, `content` puts the secret in, and nobody may print or compare what it returns.
    """

    role: str
    path: str
    text: str
    owner: str = "root"
    group: str = "root"
    mode: int = 0o644
    secrets: tuple[SecretReference, ...] = ()
    check: str = ""
    late: bool = False

    def content(self, resolve: Resolve) -> bytes:
        """The octets on the node; raises what `resolve` raises, and RenderError where a secret would break the file."""
        text = self.text
        for reference in self.secrets:
            secret = _decoded(resolve(reference), reference)
            if len(text.splitlines()) > 1 and ("\n" in secret or '"' in secret):
                raise RenderError(f"{name_of(reference)}: not one line, as {self.path} needs it")
            text = text.replace(mark(reference), secret)
        return text.encode()

    def digest(self, resolve: Resolve) -> str:
        """SHA-256 (hex) of the content."""
        return hashlib.sha256(self.content(resolve)).hexdigest()


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory that the fleet's files need."""

    path: str
    owner: str = "root"
    group: str = "root"
    mode: int = 0o755


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A systemd unit that shall be enabled and active, and `loaded`: which of our files it shall have loaded.

    `reload`: its reload takes everything in but the `fixed` among those files, and interrupts less than a restart.
    """

    role: str
    name: str
    loaded: tuple[str, ...] = ()
    reload: bool = False
    fixed: tuple[str, ...] = ()

    @property
    def drop_ins(self) -> tuple[str, ...]:
        """Those of our files that say, for as long as they lie there, that the unit is ours and not its package's."""
        return tuple(path for path in self.loaded if path.startswith(f"/etc/systemd/system/{self.name}.d/"))


OURS = "/etc/mxfleet"
"""Everything in here is ours: what is not rendered does not belong there."""


def directories(files: tuple[File, ...]) -> tuple[Directory, ...]:
    """The directories of the files below our own ones, parents first; only the service may look into /etc/mxfleet."""
    paths = {str(parent) for file in files for parent in PurePosixPath(file.path).parents}
    ours = sorted(path for path in paths if path == OURS or path.startswith(OURS + "/"))
    return tuple(Directory(path, "root", "mxd", 0o750) for path in ours)


def mark(reference: SecretReference) -> str:
    """What stands in a text for a secret."""
    return f"⟦{name_of(reference)}⟧"


def name_of(reference: SecretReference) -> str:
    """A reference in words, for messages."""
    match reference:
        case EnvSecret(variable):
            return f"the environment's {variable}"
        case FileSecret(path):
            return f"the file {path}"
    return reference.name


def _decoded(secret: bytes, reference: SecretReference) -> str:
    try:
        return secret.decode().rstrip("\n")
    except UnicodeDecodeError:
        raise RenderError(f"{name_of(reference)}: not text") from None
