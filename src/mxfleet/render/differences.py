"""Where a node is not what it shall be: the one comparison that deploy acts on and drift reports."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mxfleet.render import keyed
from mxfleet.render.desired import Desired
from mxfleet.render.file import File, Unit
from mxfleet.render.observation import Access, Observation, UnitState

Kind = Literal["package", "user", "directory", "file", "stray", "setting", "rules", "release", "unit"]

STALE = "systemd has not read its file again"
LOADED = "runs with something else than is in place"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that a deploy would change: whose role, what kind, which thing, and how it differs (no content).

    `keys` says that keys alone account for it: nothing but the ledger need have changed.
    """

    role: str
    kind: Kind
    subject: str
    how: str
    keys: bool = False

    @property
    def thing(self) -> str:
        """What an administrator calls the kind of thing."""
        return {"stray": "file", "setting": "kernel setting", "rules": "firewall"}.get(self.kind, self.kind)

    def __str__(self) -> str:
        """E.g. `file /etc/nftables.conf: content differs`."""
        return f"{self.thing} {self.subject}: {self.how}"


def differences(desired: Desired, seen: Observation) -> tuple[Difference, ...]:
    """Everything that differs, in the order in which a deploy would mend it."""
    return (
        *_packages(desired, seen),
        *_users(desired, seen),
        *_directories(desired, seen),
        *_files(desired, seen),
        *_strays(desired, seen),
        *_settings(desired, seen),
        *_release(desired, seen),
        *_units(desired, seen),
    )


def _packages(desired: Desired, seen: Observation) -> Iterator[Difference]:
    for role, names in desired.packages.items():
        for name in names:
            if name not in seen.packages:
                yield Difference(role, "package", name, "not installed")


def _users(desired: Desired, seen: Observation) -> Iterator[Difference]:
    for name in desired.users:
        if name not in seen.users:
            yield Difference("base", "user", name, "does not exist")


def _directories(desired: Desired, seen: Observation) -> Iterator[Difference]:
    for directory in desired.directories:
        found = seen.access.get(directory.path)
        if found != Access(directory.owner, directory.group, directory.mode):
            yield Difference(
                "base",
                "directory",
                directory.path,
                _access(found, Access(directory.owner, directory.group, directory.mode)),
                keyed.belongs(directory.path),
            )


def _files(desired: Desired, seen: Observation) -> Iterator[Difference]:
    for file in desired.files:
        found = seen.access.get(file.path)
        wanted = Access(file.owner, file.group, file.mode)
        keys = keyed.belongs(file.path)
        if file.path not in seen.digests:
            yield Difference(file.role, "file", file.path, "does not exist", keys)
        elif seen.digests[file.path] != desired.digests[file.path]:
            yield Difference(file.role, "file", file.path, "content differs", keys or _keys_alone(file, seen))
        elif found != wanted:
            yield Difference(file.role, "file", file.path, _access(found, wanted), keys)


def _keys_alone(file: File, seen: Observation) -> bool:
    """Whether the file differs in nothing but the part of it that belongs to keys."""
    return file.path in keyed.BESIDE and seen.beside.get(file.path) == keyed.digest_beside(
        file.path, file.text
    )


def _strays(desired: Desired, seen: Observation) -> Iterator[Difference]:
    for path in sorted(seen.ours - {file.path for file in desired.files}):
        yield Difference("smtp", "stray", path, "does not belong here", keyed.belongs(path))


def _settings(desired: Desired, seen: Observation) -> Iterator[Difference]:
    for name, value in desired.settings.items():
        found = seen.settings.get(name)
        if found != value:
            yield Difference("base", "setting", name, f"is {found or 'missing'}, not {value}")


def _release(desired: Desired, seen: Observation) -> Iterator[Difference]:
    if desired.release not in seen.releases:
        yield Difference("smtp", "release", desired.release, "not unpacked")
    if seen.release != desired.release:
        yield Difference("smtp", "release", desired.release, f"not current ({seen.release or 'none'} is)")


def _units(desired: Desired, seen: Observation) -> Iterator[Difference]:
    for unit in desired.units:
        if how := tuple(_unit(desired, seen, unit)):
            keys = unit.name in keyed.READERS and {*how} <= {STALE, LOADED}
            yield Difference(unit.role, "unit", unit.name, "; ".join(how), keys)
    for unit in desired.retired:
        if still := _retiring(seen, unit):
            yield Difference(unit.role, "unit", unit.name, f"{still} with our settings, and nobody needs it")
    notes = seen.loaded.get("nftables.service", ())
    if len(notes) > 1 and notes[1] != seen.rules:
        yield Difference("rules", "rules", "rules in the kernel", "differ from what was loaded")


def _retiring(seen: Observation, unit: Unit) -> str:
    """What it still does; nothing where it is somebody else's, who runs it under that name."""
    if unit.name not in seen.loaded and not any(path in seen.digests for path in unit.drop_ins):
        return ""
    state = seen.units.get(unit.name, UnitState())
    if state.active == "active":
        return "runs"
    return "is enabled" if state.enabled == "enabled" else ""


def _unit(desired: Desired, seen: Observation, unit: Unit) -> Iterator[str]:
    state = seen.units.get(unit.name, UnitState())
    if state.active != "active":
        yield f"is {state.active or 'unknown'}"
    if state.enabled not in ("enabled", "static", "alias", "indirect"):
        yield f"is {state.enabled or 'not enabled'}"
    if state.stale:
        yield STALE
    if unit.loaded and seen.loaded.get(unit.name, ("",))[0] != desired.note(unit):
        yield LOADED


def _access(found: Access | None, wanted: Access) -> str:
    if found is None:
        return "does not exist"
    return f"is {found.owner}:{found.group} {found.mode:04o}, not {wanted.owner}:{wanted.group} {wanted.mode:04o}"
