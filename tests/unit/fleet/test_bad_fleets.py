"""Wrong fleets fail on load, each with its own sentence: tests/bad_fleets/<name>.py and <name>.txt."""

from pathlib import Path

import pytest

from mxfleet.errors import FleetError
from mxfleet.fleet.load import load_file

BAD = Path(__file__).resolve().parents[2] / "bad_fleets"


@pytest.mark.parametrize("name", sorted(path.stem for path in BAD.glob("*.py")))
def test_a_wrong_fleet_is_refused_with_its_sentence(name: str) -> None:
    with pytest.raises(FleetError) as refused:
        load_file(BAD / f"{name}.py")
    said = str(refused.value).replace(f"{BAD}/", "")
    assert said == (BAD / f"{name}.txt").read_text().rstrip("\n")


def test_every_expectation_has_its_fleet() -> None:
    assert {path.stem for path in BAD.glob("*.txt")} == {path.stem for path in BAD.glob("*.py")}
