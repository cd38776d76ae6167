"""What one node is like now: a shell script that asks everything at once, and the value that its answer is parsed to."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mxfleet.errors import DeployError
from mxfleet.render.file import OURS
from mxfleet.render.keyed import BESIDE
from mxfleet.render.smtp import CURRENT, RELEASES

MARK = "== "


@dataclass(frozen=True, slots=True)
class Questions:
    """What to ask about: paths, packages, users, units and kernel settings (dotted names)."""

    paths: tuple[str, ...]
    packages: tuple[str, ...]
    users: tuple[str, ...]
    units: tuple[str, ...]
    settings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """Owner, group and mode (octal, as `stat -c %a` has it)."""

    owner: str
    group: str
    mode: int


@dataclass(frozen=True, slots=True)
class UnitState:
    """A unit as systemd has it; `stale` means that its file has changed since systemd read it."""

    active: str = "inactive"
    enabled: str = ""
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """The answers. `loaded` holds the notes that units leave when they start; digests are SHA-256 (hex).

    `beside` has the digests of what is left of some files without the part that belongs to keys (`render.keyed`).
    """

    digests: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    access: Mapping[str, Access] = field(default_factory=dict)
    ours: frozenset[str] = frozenset()
    packages: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    units: Mapping[str, UnitState] = field(default_factory=dict)
    loaded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rules: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    addresses: frozenset[str] = frozenset()
    release: str = ""
    releases: frozenset[str] = frozenset()
    machine: str = ""

    @property
    def serves(self) -> bool:
        """Whether the exchange runs here, so that a careless change could interrupt mail."""
        return self.units.get("mxd.service", UnitState()).active in ("active", "reloading", "activating")


def script(questions: Questions) -> str:
    """Plain POSIX shell for root; it changes nothing, prints sections, and succeeds whatever is missing."""
    paths = shlex.join(questions.paths)
    settings = " ".join("/proc/sys/" + name.replace(".", "/") for name in questions.settings)
    sections = {
        "digests": f"sha256sum -- {paths}",
        "beside": "; ".join(f"{rest} | sha256sum | sed 's#-$#{path}#'" for path, rest in BESIDE.items()),
        "access": f"stat -c '%a %U %G %n' -- {paths}",
        "ours": f"find {OURS} -type f",
        "packages": "dpkg-query -W -f='${db:Status-Abbrev} ${Package}\\n' -- "
        + shlex.join(questions.packages),
        "users": f"getent passwd {shlex.join(questions.users)}",
        "units": "systemctl show -p Id,ActiveState,UnitFileState,NeedDaemonReload -- "
        + shlex.join(questions.units),
        "loaded": "cd /run/mxfleet/loaded && grep -H '' -- *",
        "rules": "nft -s list ruleset | sha256sum",
        "settings": f"grep -H '' -- {settings}",
        "addresses": "ip -o addr show",
        "release": f"readlink {CURRENT}",
        "releases": f"ls -1 {RELEASES}",
        "machine": "uname -m",
    }
    lines = [f"echo '{MARK}{name}'; ( {command} )" for name, command in sections.items()]
    return "\n".join(["LC_ALL=C; export LC_ALL; exec 2>/dev/null; cd /", *lines, f"echo '{MARK}end'"])


def parse(lines: Iterable[str]) -> Observation:
    """The observation from the script's output; raises DeployError where the output is not whole."""
    sections = _sections(lines)
    if "end" not in sections:
        raise DeployError("a node's answer was cut off", hint="run it again")
    said = {name: sections.get(name, []) for name in sections}
    return Observation(
        digests=dict(_digests(said["digests"])),
        beside=dict(_digests(said.get("beside", []))),
        access=dict(_access(said["access"])),
        ours=frozenset(said["ours"]),
        packages=frozenset(line.split()[1] for line in said["packages"] if line.startswith("ii")),
        users=frozenset(line.partition(":")[0] for line in said["users"]),
        units=dict(_units(said["units"])),
        loaded=_loaded(said["loaded"]),
        rules=_first(said["rules"]).partition(" ")[0],
        settings=dict(_settings(said["settings"])),
        addresses=frozenset(_addresses(said["addresses"])),
        release=_first(said["release"]).rpartition("/")[2],
        releases=frozenset(said["releases"]),
        machine=_first(said["machine"]),
    )


def _sections(lines: Iterable[str]) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if line.startswith(MARK):
            current = sections.setdefault(line.removeprefix(MARK).strip(), [])
        elif line:
            current.append(line)
    return sections


def _first(lines: list[str]) -> str:
    return lines[0].strip() if lines else ""


def _digests(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        digest, _, path = line.partition("  ")
        yield path, digest


def _access(lines: list[str]) -> Iterator[tuple[str, Access]]:
    for line in lines:
        mode, owner, group, path = line.split(" ", 3)
        yield path, Access(owner, group, int(mode, 8))


def _units(lines: list[str]) -> Iterator[tuple[str, UnitState]]:
    """Properties arrive unit by unit, each unit's Id first (systemd prints them in its own order)."""
    values: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition("=")
        if key in values:
            yield _unit(values)
            values = {}
        values[key] = value
    if values:
        yield _unit(values)


def _unit(values: dict[str, str]) -> tuple[str, UnitState]:
    stale = values.get("NeedDaemonReload") == "yes"
    return values["Id"], UnitState(values.get("ActiveState", ""), values.get("UnitFileState", ""), stale)


def _loaded(lines: list[str]) -> dict[str, tuple[str, ...]]:
    notes: dict[str, tuple[str, ...]] = {}
    for line in lines:
        unit, _, note = line.partition(":")
        notes[unit] = (*notes.get(unit, ()), note)
    return notes


def _settings(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        path, _, value = line.partition(":")
        yield path.removeprefix("/proc/sys/").replace("/", "."), " ".join(value.split())


def _addresses(lines: list[str]) -> Iterator[str]:
    """From `ip -o addr show`: `2: eth0    inet 10.77.0.11/24 brd …`."""
    for line in lines:
        words = line.split()
        for family in ("inet", "inet6"):
            if family in words:
                yield words[words.index(family) + 1].partition("/")[0]
