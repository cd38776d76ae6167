"""Every file of every node of every inventory, as it was last agreed: tests/golden/<fleet>/<node>/<path>.

After a wanted change: MXFLEET_REGENERATE=1 .venv/bin/pytest tests/unit/render/test_golden.py, then read the diff.
"""

import os
import shutil
from pathlib import Path

import pytest

from mxfleet.fleet.model import Fleet, Node
from mxfleet.render import render

from .samples import INVENTORIES, ROOT, fleet_of, inputs_of, signing_of

GOLDEN = ROOT / "tests" / "golden"
NODES = [(fleet_of(name), node) for name in INVENTORIES for node in fleet_of(name).nodes]


def expected_tree(fleet: Fleet, node: Node) -> dict[str, str]:
    """Path in the golden directory → text; LISTING has what a text cannot show."""
    files = render(fleet, node, signing_of(fleet), inputs_of(fleet))
    listing = [
        f"{file.mode:04o} {file.owner}:{file.group} {file.role:<15} {'secret ' if file.secrets else ''}{file.path}\n"
        for file in files
    ]
    return {"LISTING": "".join(listing), **{file.path.lstrip("/"): file.text for file in files}}


@pytest.mark.parametrize(("fleet", "node"), NODES, ids=lambda value: value.name)
def test_a_node_gets_the_files_that_were_agreed(fleet: Fleet, node: Node) -> None:
    directory = GOLDEN / fleet.name / node.name
    rendered = expected_tree(fleet, node)
    if os.environ.get("MXFLEET_REGENERATE"):
        regenerate(directory, rendered)
    agreed = {
        str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()
    }
    assert sorted(rendered) == sorted(agreed)
    for path, text in rendered.items():
        assert text == agreed[path], path


def regenerate(directory: Path, rendered: dict[str, str]) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    for path, text in rendered.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)


def test_no_golden_directory_is_left_of_a_node_that_is_gone() -> None:
    found = {str(path.relative_to(GOLDEN)) for path in GOLDEN.glob("*/*") if path.is_dir()}
    assert found == {f"{fleet.name}/{node.name}" for fleet, node in NODES}
