"""Plan files: what is approved is what is applied."""

import json
from pathlib import Path

import pytest

from mxfleet.dns.plan_file import SavedPlan, read, write
from mxfleet.errors import DnsError

from .samples import LAB, active_state, plan_of


def test_a_plan_file_says_what_it_would_do_and_how_it_was_made(tmp_path: Path) -> None:
    plan = plan_of(LAB, active_state(), {})
    write(tmp_path / "plan.json", plan, zones=("corp.test",), adopt=True)
    assert read(tmp_path / "plan.json", "lab") == SavedPlan(plan.checksum, ("corp.test",), True)
    saved = json.loads((tmp_path / "plan.json").read_text())
    assert saved["zones"][0]["changes"][0]["kind"] == "create"


def test_another_fleets_plan_a_file_that_is_none_and_one_that_is_not_there(tmp_path: Path) -> None:
    write(tmp_path / "plan.json", plan_of(LAB, active_state(), {}), zones=(), adopt=False)
    with pytest.raises(DnsError, match="is for fleet 'lab', not for 'production'"):
        read(tmp_path / "plan.json", "production")
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(DnsError, match=r"is not a plan file — mxfleet dns plan --out FILE writes one"):
        read(tmp_path / "other.json", "lab")
    with pytest.raises(DnsError, match="cannot be read: No such file"):
        read(tmp_path / "none.json", "lab")
    with pytest.raises(DnsError, match="cannot be written: No such file"):
        write(tmp_path / "no" / "plan.json", plan_of(LAB, active_state(), {}), zones=(), adopt=False)
