"""What templates see: the fleet, one node of it, and a few values that would be clumsy to derive in a template."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import jinja2

from mxfleet.errors import RenderError
from mxfleet.fleet.model import Address, Fleet, Network, Node
from mxfleet.fleet.signing import Signing
from mxfleet.render.file import File

TEMPLATES = Path(__file__).resolve().parents[3] / "templates"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything that a file on one node can depend on.

    `release` is the version of the service; `texts` are the operator's own files that the fleet names
    (root hints, trust anchor, public ssh keys), by path.
    """

    fleet: Fleet
    node: Node
    signing: Signing = field(default_factory=Signing)
    release: str = ""
    texts: Mapping[Path, str] = field(default_factory=dict)

    def file(self, role: str, path: str, **options: Any) -> File:  # noqa: ANN401  (File's own fields)
        """The file at `path` from the template at the same place under templates/."""
        values = options.pop("values", {})
        return File(role=role, path=path, text=self.template(path, **values), **options)

    def template(self, path: str, **values: object) -> str:
        """The text of templates/<path>.j2; raises RenderError with the template's own line."""
        try:
            template = environment().get_template(path.lstrip("/") + ".j2")
            return template.render(fleet=self.fleet, node=self.node, view=self, **values)
        except jinja2.TemplateNotFound as error:
            raise RenderError(f"no template {error.name}") from error
        except jinja2.TemplateError as error:
            line = getattr(error, "lineno", None)
            place = f"{path}.j2:{line}" if line else f"{path}.j2"
            raise RenderError(f"templates{place}: {error}") from error

    def text(self, path: Path) -> str:
        """One of the operator's files; raises RenderError where it was not read."""
        if path not in self.texts:
            raise RenderError(f"{path} is named by the fleet but was not given to render")
        return self.texts[path]

    @property
    def peers(self) -> tuple[Node, ...]:
        """The other nodes."""
        return tuple(node for node in self.fleet.nodes if node.name != self.node.name)

    @property
    def peer_addresses(self) -> tuple[Address, ...]:
        """The other nodes' addresses."""
        return tuple(address for node in self.peers for address in node.addresses)

    @property
    def priority(self) -> int:
        """VRRP priority: the first node of the file is preferred among equals (RFC 9568 §5.2.4: 1 to 254)."""
        return 150 - 5 * self.fleet.nodes.index(self.node)


@cache
def environment() -> jinja2.Environment:
    """Jinja2 for configuration files: undefined names are errors, no HTML escaping."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  (configuration files are not HTML)
    )
    made.filters |= {"toml": toml, "v4": of_v4, "v6": of_v6}
    return made


def toml(value: object) -> str:
    """A TOML value: JSON's strings, numbers and arrays are TOML's too, its objects are not."""
    if isinstance(value, tuple | list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, str | int | float):
        return json.dumps(value)
    return json.dumps(str(value))


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


def of_v4(values: tuple[Address | Network, ...]) -> list[Address | Network]:
    """Only the IPv4 addresses or networks."""
    return [value for value in values if isinstance(value, IPv4Address | IPv4Network)]


def of_v6(values: tuple[Address | Network, ...]) -> list[Address | Network]:
    """Only the IPv6 addresses or networks."""
    return [value for value in values if not isinstance(value, IPv4Address | IPv4Network)]
