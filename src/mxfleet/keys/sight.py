"""What was seen of the keys, before anything is decided: on the name servers and on the nodes; values only."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mxfleet.keys.state import KeyView

KeyName = tuple[str, str]
"""Domain and selector."""

Certificate = tuple[str, str]
"""SHA-256 (hex) of a certificate and of its SubjectPublicKeyInfo."""

CLOCKS_AGREE = 60.0
"""Seconds by which the clocks of the operator and of a node may differ before no period is trusted."""


@dataclass(frozen=True, slots=True)
class NodeSight:
    """One node: which keys lie on it and which its service signs with, each with its SPKI's SHA-256 (hex).

    `serving` and `chains` are, by host name, the certificate that its service shows and the one that lies there.
    `problem` says why it could not be asked; the rest is empty then. `clock` is the node's own time.
    """

    node: str
    installed: Mapping[KeyName, str] = field(default_factory=dict)
    signing: Mapping[KeyName, str] = field(default_factory=dict)
    clock: datetime | None = None
    problem: str = ""
    serving: Mapping[str, Certificate] = field(default_factory=dict)
    chains: Mapping[str, Certificate] = field(default_factory=dict)

    def has(self, key: KeyView) -> bool:
        """Whether exactly this key lies on it."""
        return self.installed.get((key.owner, key.label)) == key.spki

    def signs_with(self, key: KeyView) -> bool:
        """Whether its service has loaded a key of this name, whatever its content."""
        return (key.owner, key.label) in self.signing

    def holds(self, key: KeyView) -> bool:
        """Whether a key of this name lies on it or is loaded, whatever its content."""
        return (key.owner, key.label) in self.installed or self.signs_with(key)

    def proves_itself_with(self, key: KeyView) -> bool:
        """Whether its service shows a certificate of this TLS key, or would after a restart."""
        return any(place.get(key.owner, ("", ""))[1] == key.spki for place in (self.serving, self.chains))


@dataclass(frozen=True, slots=True)
class Observation:
    """The nodes, and by key id the servers that do not show what they should, a sentence each.

    What they should show is the key while it is advertised and an empty `p=` once it is withdrawn; an empty
    tuple is agreement of all servers, no entry at all means that nobody was asked.
    """

    nodes: tuple[NodeSight, ...] = ()
    dissent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def shown(self, key: KeyView) -> bool:
        """Whether every authoritative server shows what it should of the key."""
        return self.dissent.get(key.id, ("nobody was asked",)) == ()


def parse_node(node: str, output: str) -> NodeSight:
    """From what `mxd signing` prints; a node that cannot say it is as good as one that cannot be reached."""
    try:
        said = json.loads(output)
        return NodeSight(
            node,
            installed={(k["domain"], k["selector"]): k["spki"] for k in said["installed"]},
            signing={(k["domain"], k["selector"]): k["spki"] for k in said["signing"]},
            serving={c["name"]: (c["fingerprint"], c["spki"]) for c in said["serving"]},
            chains={c["name"]: (c["fingerprint"], c["spki"]) for c in said["certificates"]},
            clock=datetime.fromisoformat(said["clock"]),
        )
    except (ValueError, KeyError, TypeError):
        return NodeSight(node, problem="it does not say what it signs with (an older release?)")
