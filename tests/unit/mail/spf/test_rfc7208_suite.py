"""The openspf.org suite for RFC 7208: all 203 cases, none skipped (tests/data/rfc7208-tests.LICENSE)."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from mxfleet.mail.spf.check import check_mail_from
from tests.unit.mail.zone import TIMEOUT, Zone, answer_from

SUITE = Path(__file__).resolve().parents[3] / "data" / "rfc7208-tests.yml"


@dataclass(frozen=True)
class Case:
    name: str
    test: dict[str, Any]
    zone: dict[str, object]


def cases() -> Iterator[Case]:
    for scenario in yaml.safe_load_all(SUITE.read_text(encoding="utf-8")):
        zone = zone_of(scenario["zonedata"])
        for name, test in scenario["tests"].items():
            yield Case(name, test, zone)


def zone_of(data: dict[str, list[Any]]) -> dict[str, object]:
    """The suite's own format: SPF records stand for TXT ones too, unless the name has TXT of its own."""
    zone: dict[str, object] = {}
    for name, entries in data.items():
        own_texts = any(isinstance(entry, dict) and "TXT" in entry for entry in entries)
        for entry in entries:
            if entry == "TIMEOUT":
                zone[name] = TIMEOUT
                continue
            for kind, value in entry.items():
                if (kind == "SPF" and own_texts) or value == "NONE":
                    continue
                records = zone.setdefault(f"{name} {'TXT' if kind == 'SPF' else kind}", [])
                assert isinstance(records, list)
                records.append(record(kind, value))
    return zone


def record(kind: str, value: Any) -> object:
    if kind == "MX":
        return (value[0], value[1])
    if kind in ("SPF", "TXT"):
        return ("".join(value) if isinstance(value, list) else value).encode("utf-8")
    return value


CASES = list(cases())


def test_the_suite_is_complete() -> None:
    assert len(CASES) == 203


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_of_the_suite(case: Case) -> None:
    test = case.test
    verdict = answer_from(
        Zone(case.zone),
        check_mail_from(ip_address(test["host"]), test["helo"], test["mailfrom"] or "", receiver="unknown"),
    )
    wanted = test["result"]
    assert verdict.result in ([wanted] if isinstance(wanted, str) else wanted), verdict.reason
    if "explanation" in test and test["explanation"] != "DEFAULT":
        assert verdict.explanation == test["explanation"]
    elif test.get("explanation") == "DEFAULT":
        assert verdict.explanation == ""
