"""A plan and its secrets, made once: the lab of this checkout, on paper."""

import datetime
from pathlib import Path

import pytest

from mxfleet.fleet.load import load_file
from mxfleet.lab import credentials
from mxfleet.lab.credentials import Credentials
from mxfleet.lab.plan import Plan, plan_for

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)


@pytest.fixture(scope="session")
def plan() -> Plan:
    return plan_for(load_file(ROOT / "inventories" / "lab.py"))


@pytest.fixture(scope="session")
def secret(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return credentials.load_or_make(plan, tmp_path_factory.mktemp("lab"), NOW)
