"""What rendering needs beside fleet and ledger: the release's version, and the operator's files that the fleet names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mxfleet.errors import RenderError
from mxfleet.fleet.model import Fleet


@dataclass(frozen=True, slots=True)
class Inputs:
    """The version of the service to run, and the texts of the operator's files by their path in the fleet."""

    release: str
    texts: Mapping[Path, str] = field(default_factory=dict)


def named_by(fleet: Fleet) -> tuple[Path, ...]:
    """The operator's files that end up on nodes."""
    paths = (fleet.resolver.root_hints, fleet.resolver.trust_anchor, fleet.ssh.authorized_keys)
    return tuple(dict.fromkeys(path for path in (*paths, *fleet.sending.trust_files) if path))


def gather(fleet: Fleet, release: str, root: Path) -> Inputs:
    """Read those files; raises RenderError with the one that cannot be read."""
    texts = {}
    for path in named_by(fleet):
        try:
            texts[path] = (root / path.expanduser()).read_text()
        except OSError as error:
            hint = "mxfleet lab up" if fleet.laboratory else "mend the path in the inventory"
            raise RenderError(
                f"{path}, named by fleet {fleet.name!r}: {error.strerror}", hint=hint
            ) from error
    return Inputs(release, texts)
