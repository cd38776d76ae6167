"""Files that only their owner may read: refused when others can."""

import os
import stat
from pathlib import Path

from mxfleet.errors import StateError, StateMissing


def read_private(path: Path, what: str, remedy: str) -> bytes:
    """The content of a secret file; raises StateMissing with the remedy, StateError where others can read it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise StateMissing(f"no {what} {path}", hint=remedy) from None
    except OSError as error:
        raise StateError(f"{what} {path} cannot be read: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)  # of what is open, not of what is there now
        if mode & 0o077:
            raise StateError(
                f"{what} {path} can be read by others (mode {mode:04o})", hint=f"chmod 600 {path}"
            )
        return file.read()


def write_new_private(path: Path, content: bytes) -> None:
    """Make a file with mode 0600 from its first moment, in a directory of mode 0700; never replaces one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
