"""What a node says of itself, command by command: the words to run there and the pure readers of the output."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from shlex import quote
from typing import Any

Json = dict[str, Any]
Run = Callable[[str], str]
"""A shell command on the node, as root → its output, whatever its exit code; raises where the node is not reached."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit: `active`, `enabled` as systemd words them; `restarts` since boot without being asked."""

    active: str
    enabled: str
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class FileFound:
    """A file as it is: owner, group, mode, SHA-256 (hex); `mode` is an int such as 0o640."""

    owner: str
    group: str
    mode: int
    digest: str


@dataclass(frozen=True, slots=True)
class Chain:
    """A base chain of nftables: its family, hook and policy."""

    family: str
    table: str
    name: str
    hook: str
    policy: str


def units_command(units: Iterable[str]) -> str:
    """Prints the state of units."""
    properties = "Id,ActiveState,UnitFileState,NRestarts"
    return f"systemctl show --property={properties} {' '.join(units)}"


def read_units(text: str) -> dict[str, Unit]:
    """Unit name → state."""
    found = {}
    for block in text.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in values:
            found[values["Id"]] = Unit(
                values.get("ActiveState", "unknown"),
                values.get("UnitFileState", ""),
                int(values.get("NRestarts") or 0),
            )
    return found


SOCKETS = "ss -Hltn"


def read_sockets(text: str) -> set[tuple[str, int]]:
    """(address, port) of each TCP socket that listens; `*` for both families, `0.0.0.0` and `::` for one."""
    found = set()
    for line in text.splitlines():
        address, _, port = line.split()[3].rpartition(":")
        found.add((address.strip("[]").partition("%")[0], int(port)))
    return found


ADDRESSES = "ip -j address show"


def read_addresses(text: str) -> dict[str, str]:
    """Address → interface, without loopback and link-local ones."""
    links: list[Json] = json.loads(text or "[]")
    return {
        info["local"]: link["ifname"]
        for link in links
        for info in link.get("addr_info", [])
        if info.get("scope") == "global" and not ip_address(info["local"]).is_loopback
    }


RULES = "nft -j list ruleset"


def read_chains(text: str) -> list[Chain]:
    """The base chains: those with a hook."""
    return [
        Chain(chain["family"], chain["table"], chain["name"], chain["hook"], chain.get("policy", "accept"))
        for item in _items(text)
        if (chain := item.get("chain")) and "hook" in chain
    ]


def read_sets(text: str) -> dict[str, set[str]]:
    """Named set → its elements as text; a network as `10.0.0.0/24`, a range as `a-b`."""
    sets = [item["set"] for item in _items(text) if "set" in item]
    return {one["name"]: {_element(element) for element in one.get("elem", [])} for one in sets}


def _items(text: str) -> list[Json]:
    items: list[Json] = json.loads(text)["nftables"] if text else []
    return items


def _element(element: Any) -> str:  # noqa: ANN401  (JSON: a string, a number or an object)
    if isinstance(element, dict):
        if "prefix" in element:
            return f"{element['prefix']['addr']}/{element['prefix']['len']}"
        if "range" in element:
            return "-".join(str(end) for end in element["range"])
        if "elem" in element:
            return _element(element["elem"]["val"])
    return str(element)


def files_command(paths: Iterable[str]) -> str:
    """Prints owner, group, mode and digest of files; says nothing of one that is not there."""
    words = " ".join(quote(path) for path in paths)
    return f"stat -L -c '%U %G %a %n' -- {words} 2>/dev/null; sha256sum -- {words} 2>/dev/null; true"


def read_files(text: str) -> dict[str, FileFound]:
    """Path → file as found."""
    digests: dict[str, str] = {}
    states: dict[str, tuple[str, str, int]] = {}
    for line in text.splitlines():
        first, _, rest = line.partition(" ")
        if len(first) == 64:
            digests[rest.lstrip(" *")] = first
        else:
            group, mode, path = rest.split(" ", 2)
            states[path] = (first, group, int(mode, 8))
    return {path: FileFound(*state, digests.get(path, "")) for path, state in states.items()}


def read_pairs(text: str) -> dict[str, str]:
    """`name = value` lines, as sysctl and its files have them; a comment and an empty line count for nothing."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if "=" in line and line[0] not in "#;")
    return {name.strip().lstrip("-"): " ".join(value.split()) for name, _, value in pairs}


def read_words(text: str) -> dict[str, str]:
    """`name value` lines, as `sshd -T` prints them; names in lower case, the first of a name counts."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        found.setdefault(name.lower(), value.strip())
    return found


AD = """
import dns.flags, dns.message, dns.query, sys
for name, kind in zip(sys.argv[1::2], sys.argv[2::2]):
    query = dns.message.make_query(name, kind, want_dnssec=True)
    answer = dns.query.udp(query, "127.0.0.1", timeout=5)
    print(name, answer.rcode().name if hasattr(answer.rcode(), "name") else answer.rcode(),
          "AD" if answer.flags & dns.flags.AD else "-")
"""


def resolver_command(python: str, questions: Iterable[tuple[str, str]]) -> str:
    """Asks the node's own resolver, by the release's dnspython, and prints name, rcode and AD (RFC 4035 §3.2.3)."""
    words = " ".join(f"{quote(name)} {kind}" for name, kind in questions)
    return f"{python} -c {quote(AD)} {words}"


def read_answers(text: str) -> dict[str, tuple[str, bool]]:
    """Name → (rcode, whether the answer was validated)."""
    rows = (line.split() for line in text.splitlines())
    return {name: (code, flag == "AD") for name, code, flag in rows}


OPINION = """
import http.client, json, sys
for name, address, text in zip(sys.argv[1::3], sys.argv[2::3], sys.argv[3::3]):
    asked = http.client.HTTPConnection("127.0.0.1", 11333, timeout=20)
    asked.request("POST", "/checkv2", text.encode(), {"IP": address, "Helo": "client.invalid", "From": "a@client.invalid"})
    said = json.load(asked.getresponse())
    print(name, said["action"].replace(" ", "-"), *sorted(said["symbols"]))
"""


def opinion_command(python: str, letters: Iterable[tuple[str, str, str]]) -> str:
    """Asks the node's rspamd, as its exchange does, what it thinks of (name, client's address, text of a message)."""
    words = " ".join(quote(word) for letter in letters for word in letter)
    return f"{python} -c {quote(OPINION)} {words}"


def read_opinions(text: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Name of a letter → (action, symbols)."""
    rows = (line.split() for line in text.splitlines())
    return {name: (action.replace("-", " "), frozenset(symbols)) for name, action, *symbols in rows}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to ask a node about: unit names, file and directory paths, sysctl names, DNS questions (name, type).

    `letters` are shown to its rspamd: a name, the client's address, the message.
    """

    units: tuple[str, ...]
    paths: tuple[str, ...]
    sysctls: tuple[str, ...]
    questions: tuple[tuple[str, str], ...]
    users: tuple[str, ...] = ("root", "mxd")
    letters: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Inside:
    """A node as it says itself that it is; `clock` is seconds since 1970, `users` maps a name to (uid, shell)."""

    units: dict[str, Unit]
    sockets: set[tuple[str, int]]
    addresses: dict[str, str]
    chains: list[Chain]
    sets: dict[str, set[str]]
    rules_changed: bool
    files: dict[str, FileFound]
    ours: set[str]
    private_keys: set[str]
    notes: dict[str, str]
    sysctls: dict[str, str]
    users: dict[str, tuple[int, str]]
    sshd: dict[str, str]
    journald: dict[str, str]
    release: str
    running_digest: str
    expected_digest: str
    clock: float
    answers: dict[str, tuple[str, bool]]
    opinions: dict[str, tuple[str, frozenset[str]]]


CURRENT = "/opt/mxfleet/current"
OURS = "find /etc/mxfleet -type f"
PRIVATE_KEYS = "grep -rlIs -e '-----BEGIN .*PRIVATE KEY-----' /etc/mxfleet /tmp /var/tmp /home /root || true"
LIVE_RULES = (
    "nft -s list ruleset | sha256sum | cut -d' ' -f1; tail -n 1 /run/mxfleet/loaded/nftables.service; true"
)
RELEASE = f"readlink {CURRENT}; cat /run/mxd/digest; echo; {CURRENT}/venv/bin/mxd digest; date +%s.%N; true"
NOTES = "cd /run/mxfleet/loaded && grep -H -m1 '' -- *"
JOURNALD = "systemd-analyze cat-config systemd/journald.conf"


def observe(run: Run, wanted: Wanted) -> Inside:
    """Ask everything, in a dozen commands; what a command cannot tell stays empty, so that a test can name it."""
    rules = run(RULES)
    live, _, loaded = run(LIVE_RULES).strip().partition("\n")
    release, running, expected, clock = _release(run(RELEASE))
    return Inside(
        units=read_units(run(units_command(wanted.units))),
        sockets=read_sockets(run(SOCKETS)),
        addresses=read_addresses(run(ADDRESSES)),
        chains=read_chains(rules),
        sets=read_sets(rules),
        rules_changed=live != loaded,
        files=read_files(run(files_command(wanted.paths))),
        ours=set(run(OURS).split()),
        private_keys=set(run(PRIVATE_KEYS).split()),
        notes=read_notes(run(NOTES)),
        sysctls=read_pairs(run(f"sysctl {' '.join(wanted.sysctls)}")),
        users=read_users(run(f"getent passwd {' '.join(wanted.users)}; true")),
        sshd=read_words(run("sshd -T")),
        journald=read_pairs(run(JOURNALD)),
        release=release,
        running_digest=running,
        expected_digest=expected,
        clock=clock,
        answers=read_answers(run(resolver_command(f"{CURRENT}/venv/bin/python3", wanted.questions))),
        opinions=read_opinions(run(opinion_command(f"{CURRENT}/venv/bin/python3", wanted.letters))),
    )


def read_notes(text: str) -> dict[str, str]:
    """Unit → the digest of the files that it loaded when it last started or reloaded."""
    return {unit: note for unit, _, note in (line.partition(":") for line in text.splitlines())}


def read_users(text: str) -> dict[str, tuple[int, str]]:
    """Login name → (uid, shell)."""
    rows = (line.split(":") for line in text.splitlines())
    return {row[0]: (int(row[2]), row[6]) for row in rows}


def _release(text: str) -> tuple[str, str, str, float]:
    words = [line for line in text.splitlines() if line]
    if len(words) != 4:
        return "", "", "", float(words[-1])
    link, running, expected, clock = words
    return link.rpartition("/")[2], running, expected, float(clock)
