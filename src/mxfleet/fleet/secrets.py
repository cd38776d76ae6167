"""References to secrets: a fleet names them and never holds one."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret in the fleet's vault, by name: `Secret("dkim/example.org")`."""

    name: str


@dataclass(frozen=True, slots=True)
class EnvSecret:
    """A secret in the operator's environment: `EnvSecret("CLOUDFLARE_API_TOKEN")`."""

    variable: str


@dataclass(frozen=True, slots=True)
class FileSecret:
    """A secret in a file on the operator's machine that nobody else may read."""

    path: Path


SecretReference = Secret | EnvSecret | FileSecret
