"""From a reference in the fleet to the secret itself, on the operator's machine only."""

from collections.abc import Mapping
from pathlib import Path

from mxfleet.errors import StateMissing
from mxfleet.fleet.secrets import EnvSecret, FileSecret, SecretReference
from mxfleet.keys.private_files import read_private
from mxfleet.keys.vault import Vault


def resolve(
    reference: SecretReference, vault: Vault, environment: Mapping[str, str], root: Path = Path()
) -> bytes:
    """The secret's octets, without the newline that editors leave at the end of a file.

    Raises StateMissing with where it was sought, StateError where a file can be read by others.
    """
    match reference:
        case EnvSecret(variable):
            value = environment.get(variable, "")
            if not value:
                raise StateMissing(f"the environment has no {variable}", hint=f"export {variable}=…")
            return value.encode()
        case FileSecret(path):
            content = read_private(
                root / path.expanduser(), "secret file", f"write it there, mode 600: {path}"
            )
            return content.rstrip(b"\r\n")
    return vault.read(reference.name)
