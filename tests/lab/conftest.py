"""Acceptance on a lab that is up and deployed. Each test leaves it as it found it; without a lab all of them fail."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mxfleet.keys.ledger import read_signing
from mxfleet.lab import guests
from mxfleet.lab.letters import Post
from mxfleet.lab.state import DIRECTORY
from mxfleet.lab.trust import fleet_authority
from tests.lab.running import INVENTORY, ROOT, Lab


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab()


@pytest.fixture(scope="session")
def post(lab: Lab) -> Post:
    """The postmen in office and world."""
    passwords = json.loads((DIRECTORY / "credentials.json").read_text())["users"]
    authority = fleet_authority(lab.fleet, read_signing(ROOT / lab.fleet.state_directory).authority_pem)
    return Post(
        lab.fleet,
        authority,
        passwords,
        lambda guest, command, given: guests.run(guest, command, input=given, check=True).stdout,
    )


@pytest.fixture
def variant(lab: Lab, tmp_path: Path) -> Callable[[str], Path]:
    """Writes an inventory that is the lab's with something replaced: `variant('policy=replace(...)')`."""

    def write(change: str) -> Path:
        path = tmp_path / "variant.py"
        path.write_text(
            "from dataclasses import replace\n"
            "from pathlib import Path\n"
            "from mxfleet.fleet import Network4, Network6, hosts\n"
            "from mxfleet.fleet.load import load_file\n"
            f"_LAB = load_file(Path({str(INVENTORY)!r}))\n"
            f"FLEET = replace(_LAB, {change})\n"
            "mx = hosts(FLEET)\n"
        )
        return path

    return write
