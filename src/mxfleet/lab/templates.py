"""Render the files under `lab/files/<role>/`, whose tree mirrors that of the guest; pure but for reading them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mxfleet.lab.root import GuestFile

FILES = Path(__file__).parent / "files"


def environment() -> Environment:
    """Jinja as the files here are written: an unknown name is an error, lines of statements leave no trace."""
    made = Environment(
        loader=FileSystemLoader(FILES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  (configuration files, not HTML)
    )
    made.filters["absolute"] = lambda name: name if name.endswith(".") else f"{name}."
    made.filters["stem"] = lambda zone: "root" if zone == "." else zone
    made.filters["quoted"] = quoted
    return made


def quoted(text: str) -> str:
    """TXT data as character strings of at most 255 octets (RFC 1035 §3.3.14)."""
    return " ".join(f'"{text[start : start + 255]}"' for start in range(0, len(text), 255))


def text(name: str, values: Mapping[str, Any]) -> str:
    """One file of `lab/files`, by its path there."""
    return environment().get_template(name).render(values)


def tree(role: str, values: Mapping[str, Any], rights: Mapping[str, tuple[int, str]]) -> Iterator[GuestFile]:
    """Every file of the role; `rights` has mode and owner where they are not 0644 root:root."""
    jinja = environment()
    for path in sorted((FILES / role).rglob("*")):
        if path.is_file():
            inside = "/" + str(path.relative_to(FILES / role))
            mode, owner = rights.get(inside, (0o644, "root:root"))
            rendered = jinja.get_template(str(path.relative_to(FILES))).render(values)
            yield GuestFile(inside, rendered, mode, owner)
