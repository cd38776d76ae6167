"""From pyinfra's lines to ours: what was changed where, how long it took, and why it stopped."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mxfleet.errors import DeployError

STARTING = re.compile(r"--> Starting operation: (?P<name>.*\S)")
OUTCOME = re.compile(r"\[(?P<node>[^\]]+)\] (?P<outcome>Success|No changes|Error)\b")
SPOKEN = re.compile(r"mxfleet: (?P<sentence>.*)")
SAID = re.compile(r"\[(?P<node>[^\]]+)\] (?P<text>.*\S)")
STOPPED = re.compile(r"--> pyinfra error[^:]*: (?P<reason>.*)")
MEANS = (
    "all nodes have been asked",
    "staged copies are gone",
    "the exchange is healthy",
    "pass their checks",
)
"""Operations that change nothing of the node's own: asking, proving, carrying."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a node was brought to."""

    node: str
    what: str
    seconds: float


@dataclass(slots=True)
class Narration:
    """One run as it is heard; `clock` is monotonic seconds, `warnings` are known before it begins."""

    fleet: str
    nodes: tuple[str, ...]
    clock: Callable[[], float]
    changes: list[Change] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    _begun: float = 0.0
    _operation: str = ""
    _since: float = 0.0
    _last: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """The time runs from here."""
        self._begun = self._since = self.clock()

    def hear(self, line: str) -> Iterator[str]:
        """One line of pyinfra's stderr; yields what is worth saying at once."""
        if found := STARTING.search(line):
            self._operation, self._since = _plain(found["name"]), self.clock()
            self._last.clear()
        elif found := SPOKEN.search(line):
            self.sentences.append(found["sentence"].strip())
        elif found := OUTCOME.search(line):
            yield from self._outcome(found["node"], found["outcome"])
        elif found := STOPPED.search(line):
            if not self.failed and not self.sentences:
                self.sentences.append(found["reason"].strip())
        elif found := SAID.search(line):
            self._last[found["node"]] = found["text"]

    def _outcome(self, node: str, outcome: str) -> Iterator[str]:
        seconds = self.clock() - self._since
        if outcome == "Error":
            self.failed[node] = self._operation
            if reason := self._last.get(node):
                self.sentences.append(f"{node}: {reason}")
        elif outcome == "Success" and not self._operation.endswith(MEANS):
            self.changes.append(Change(node, self._operation, seconds))
            yield f"{node:<8}{self._operation}  ({seconds:.1f} s)"

    def end(self, code: int) -> None:
        """The process has ended with that exit code."""
        self.seconds = self.clock() - self._begun
        if code and not self.failed:
            self.failed = {"": self._operation or "before the first step"}

    def summary(self) -> str:
        """The last line of a run that went well."""
        nodes = f"{len(self.nodes)} node{'s' if len(self.nodes) > 1 else ''}"
        if not self.changes:
            return f"deploy: nothing to change on {nodes} ({self.seconds:.1f} s)"
        return f"deploy: {len(self.changes)} changes on {nodes} ({self.seconds:.1f} s)"

    def error(self) -> DeployError:
        """The last line of a run that failed: where, at what, why, and that nothing later was touched."""
        where = ", ".join(f"{node} at “{step}”" if node else step for node, step in self.failed.items())
        reasons = (
            "; ".join(dict.fromkeys(self.sentences))
            or "see pyinfra's own words: pyinfra -y INVENTORY deploy.py"
        )
        hint = "" if " — " in reasons else "mend it, then mxfleet deploy again: it goes on from here"
        return DeployError(f"stopped: {where}: {reasons}", hint=hint)

    def as_values(self) -> dict[str, object]:
        """For --json."""
        return {
            "fleet": self.fleet,
            "nodes": list(self.nodes),
            "changes": [
                {"node": c.node, "what": c.what, "seconds": round(c.seconds, 2)} for c in self.changes
            ],
            "warnings": self.warnings,
            "failed": self.failed,
            "error": self.error().message if self.failed else "",
            "seconds": round(self.seconds, 2),
        }


def _plain(name: str) -> str:
    """The operation's name without the turn in which it ran."""
    return re.sub(r"^turn \d+[,:] ", "", name)
