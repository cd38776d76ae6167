"""docs/rfc.md is true: what it refers to exists and names the RFC, and no RFC is named that is not in it."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEDGER = (ROOT / "docs" / "rfc.md").read_text(encoding="utf-8")
STATES = {"implemented", "partly", "not"}


@dataclass(frozen=True)
class Row:
    number: int
    state: str
    files: tuple[str, ...]
    remark: str


def rows() -> list[Row]:
    found = []
    for line in LEDGER.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and cells[0].isdigit():
            number, _, state, files, remark = cells
            found.append(Row(int(number), state, tuple(re.findall(r"`([^`]+)`", files)), remark))
    return found


def background() -> set[int]:
    return {
        int(number) for number in re.findall(r"^[0-9 ]+$", LEDGER, re.MULTILINE) for number in number.split()
    }


def file_of(reference: str) -> Path:
    ours = ROOT / "src" / "mxfleet" / reference
    return ours if ours.exists() else ROOT / reference


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row.number))
def test_a_row_is_true(row: Row) -> None:
    assert row.state in STATES
    assert bool(row.files) == (row.state != "not"), "what is there is somewhere, what is not is nowhere"
    assert row.state == "implemented" or row.remark, "say what is missing, or why"
    for reference in row.files:
        assert file_of(reference).is_file(), f"{reference} does not exist"
        text = file_of(reference).read_text(encoding="utf-8")
        assert re.search(rf"RFC {row.number}\b", text), f"{reference} does not name RFC {row.number}"


def test_an_rfc_has_one_row() -> None:
    twice = [number for number, count in Counter(row.number for row in rows()).items() if count > 1]
    assert twice == []
    assert not background() & {row.number for row in rows()}


def test_every_rfc_that_the_protocol_layer_names_has_a_row() -> None:
    known = {row.number for row in rows()} | background()
    unknown: dict[int, str] = {}
    for path in sorted((ROOT / "src" / "mxfleet" / "mail").rglob("*.py")):
        numbers = {
            int(number) for number in re.findall(r"RFC ([0-9]{3,5})\b", path.read_text(encoding="utf-8"))
        }
        unknown |= {number: str(path.relative_to(ROOT)) for number in numbers - known}
    assert unknown == {}, "add a row to docs/rfc.md for each"


RECEIVING = {
    *{1870, 2034, 2920, 3030, 3207, 3461, 3463, 4616, 4954, 5321, 5322, 6152, 6531, 8314},
    *{5782, 6376, 7208, 8301, 8463, 8601, 8617, 9989},
}


def test_everything_that_receiving_is_built_of_has_a_row_that_is_not_no() -> None:
    states = {row.number: row.state for row in rows()}
    assert {number: states.get(number) for number in RECEIVING if states.get(number) in (None, "not")} == {}
