"""A plan in a file, to be approved by somebody and applied later: what it would do, and by which checksum.

Apply makes the plan anew and compares checksums, so the file is never trusted and never holds a credential.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from mxfleet.dns.plan import Plan
from mxfleet.errors import DnsError


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """How the plan was made, and its checksum."""

    checksum: str
    zones: tuple[str, ...]
    adopt: bool


def write(path: Path, plan: Plan, *, zones: tuple[str, ...], adopt: bool) -> None:
    """Write the plan as JSON; raises DnsError where that cannot be done."""
    saved = {"checksum": plan.checksum, "made-for": {"zones": zones, "adopt": adopt}, **plan.as_json()}
    try:
        path.write_text(json.dumps(saved, indent=2) + "\n")
    except OSError as error:
        raise DnsError(f"plan file {path} cannot be written: {error.strerror}") from error


def read(path: Path, fleet: str) -> SavedPlan:
    """The plan's checksum and how it was made; raises DnsError for a file that is none, or another fleet's."""
    try:
        saved = json.loads(path.read_text())
        if saved["fleet"] != fleet:
            raise DnsError(f"plan file {path} is for fleet {saved['fleet']!r}, not for {fleet!r}")
        made_for = saved["made-for"]
        return SavedPlan(str(saved["checksum"]), tuple(made_for["zones"]), bool(made_for["adopt"]))
    except OSError as error:
        raise DnsError(f"plan file {path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DnsError(f"{path} is not a plan file", hint="mxfleet dns plan --out FILE writes one") from error
