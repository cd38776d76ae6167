"""How each node stands, from one command a node: services, release, addresses, queue."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from mxfleet.fleet import Fleet, Node

MARK = "=== mxfleet "
CURRENT = "/opt/mxfleet/current"
BACKUP = "mxfleet-backup.timer"
Ask = Callable[[Node, str], tuple[str, str]]
"""(node, shell script) -> (output, why there is none); exactly one of the two is empty."""


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits in a node's own queue: messages, deliveries that were tried in vain, the oldest's age in seconds.

    `replies` maps a domain to the last words of its server, or ours where there was none.
    """

    waiting: int
    deferred: int
    oldest: int
    replies: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """One node as it was found; `problem` says why it could not be asked, and the rest is empty then."""

    node: str
    problem: str = ""
    services: dict[str, str] = field(default_factory=dict)
    release: str = ""
    holds: tuple[str, ...] = ()
    queue: Queue | None = None

    @property
    def reachable(self) -> bool:
        """Whether the node answered."""
        return not self.problem

    @property
    def stopped(self) -> tuple[str, ...]:
        """The units that do not run."""
        return tuple(unit for unit, state in self.services.items() if state != "active")


def units(fleet: Fleet) -> tuple[str, ...]:
    """The units that run on every node of the fleet."""
    submission = ("mxd-submission.socket", "mxd-submissions.socket") if fleet.accounts else ()
    failover = ("keepalived.service",) if fleet.service else ()
    antispam = ("valkey-server.service", "rspamd.service") if fleet.policy.scanner else ()
    common = ("ssh.service", "nftables.service", "unbound.service")
    return (
        *common,
        *antispam,
        *failover,
        "mxd.service",
        "mxd-smtp.socket",
        *submission,
        "mxd-health.socket",
        BACKUP,
    )


def script(fleet: Fleet) -> str:
    """The shell script that prints a node's standing in sections."""
    return "\n".join(
        [
            f"echo '{MARK}services'",
            f"systemctl show --property=Id,ActiveState {' '.join(units(fleet))}",
            f"echo; echo '{MARK}release'",
            f"readlink {CURRENT} || true",
            f"echo '{MARK}addresses'",
            "ip -j address show",
            f"echo '{MARK}clock'",
            "date +%s",
            f"echo '{MARK}queue'",
            f"{CURRENT}/venv/bin/mxd queue summary --json 2>/dev/null || true",
        ]
    )


def standings(fleet: Fleet, ask: Ask) -> tuple[Standing, ...]:
    """All nodes at once, in the fleet's order."""

    def of(node: Node) -> Standing:
        output, problem = ask(node, script(fleet))
        return Standing(node.name, problem) if problem else parse(fleet, node, output)

    with ThreadPoolExecutor(max(1, len(fleet.nodes))) as pool:
        return tuple(pool.map(of, fleet.nodes))


def parse(fleet: Fleet, node: Node, output: str) -> Standing:
    """A standing from the script's output; what is missing in it stays empty."""
    sections = {
        name: text.strip()
        for name, _, text in (part.partition("\n") for part in output.split(MARK) if part.strip())
    }
    return Standing(
        node.name,
        services=_services(sections.get("services", "")),
        release=sections.get("release", "").rpartition("/")[2],
        holds=_held(fleet, sections.get("addresses", "")),
        queue=_queue(sections.get("queue", ""), int(sections.get("clock") or 0)),
    )


def _services(text: str) -> dict[str, str]:
    found = {}
    for block in text.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in values:
            found[values["Id"]] = values.get("ActiveState", "unknown")
    return found


def _held(fleet: Fleet, text: str) -> tuple[str, ...]:
    wanted = [str(address) for address in fleet.service.addresses] if fleet.service else []
    links: list[dict[str, Any]] = json.loads(text) if text else []
    own = {info.get("local") for link in links for info in link.get("addr_info", [])}
    return tuple(address for address in wanted if address in own)


def _queue(text: str, now: int) -> Queue | None:
    """From `mxd queue summary --json`; None where the node has no queue to tell of."""
    try:
        summary: dict[str, Any] = json.loads(text)
    except ValueError:
        return None
    replies = {one["domain"]: one["reply"] for one in summary["domains"] if one["reply"]}
    return Queue(
        waiting=summary["messages"],
        deferred=sum(one["deliveries"] for one in summary["domains"] if one["reply"]),
        oldest=max(0, now - int(summary["oldest"])) if summary["oldest"] else 0,
        replies=replies,
    )
