"""Show 1: an empty plan after apply, drift of a change by hand, and what no plan may touch or orphan."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mxfleet.dns.publish import apply_plan, make_plan, providers_for
from mxfleet.errors import GuardRefused
from mxfleet.keys.ledger import read_state, wall_clock, writing
from mxfleet.keys.lifecycle import KeyState
from mxfleet.keys.vault import Vault
from mxfleet.lab import guests
from mxfleet.lab.state import DIRECTORY
from tests.lab.running import ROOT, Lab

FOREIGN = '"google-site-verification=mxlab-foreign-record"'


def shown(name: str, kind: str, server: str = "10.77.0.100") -> list[str]:
    """The values of a record on one of the lab's name servers."""
    dig = ["dig", "+short", "+norecurse", "+time=2", f"@{server}", name, kind]
    return sorted(guests.run("office", dig, check=True).stdout.decode().splitlines())


def by_hand(*lines: str) -> None:
    """A change of corp.test past mxfleet, with the key of the zone."""
    tsig = json.loads((DIRECTORY / "credentials.json").read_text())["tsig"]
    update = "\n".join(("server 10.77.0.100", "zone corp.test.", *lines, "send", ""))
    key = f"{tsig['algorithm']}:{tsig['name']}:{tsig['secret']}"
    done = guests.run("office", ["nsupdate", "-y", key], input=update.encode())
    assert done.returncode == 0, done.stderr


@pytest.fixture
def applied(lab: Lab) -> Iterator[Lab]:
    """The zones are what the fleet wants, before and after."""
    for when in ("before", "after"):
        done = lab.mxfleet("dns", "apply", "--adopt")
        assert done.returncode == 0, done.stdout + done.stderr
        if when == "before":
            yield lab


def test_after_an_apply_there_is_nothing_to_plan_and_no_server_lags(applied: Lab) -> None:
    planned = applied.mxfleet("dns", "plan")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert re.fullmatch(r"no changes; \d+ in place, \d+ foreign left alone\n", planned.stdout)
    applied.until("no drift", lambda: applied.mxfleet("dns", "drift").returncode == 0)


def test_a_change_by_hand_is_drift_until_it_is_adopted_and_what_is_foreign_survives(applied: Lab) -> None:
    [ours] = [text for text in shown("corp.test", "TXT") if "v=spf1" in text]
    by_hand(f"update delete corp.test. TXT {ours}", 'update add corp.test. 5 TXT "v=spf1 +all"')
    for verb in ("plan", "drift"):
        said = applied.mxfleet("dns", verb)
        assert said.returncode == 2, said.stdout + said.stderr
        assert '  ! corp.test. 5 TXT "v=spf1 +all"\n' in said.stdout
    refused = applied.mxfleet("dns", "apply")
    assert refused.returncode == 1
    assert 'corp.test. 5 TXT "v=spf1 +all" was not written by mxfleet: nothing was changed' in refused.stderr
    assert applied.mxfleet("dns", "apply", "--adopt").returncode == 0
    assert applied.mxfleet("dns", "plan").returncode == 0
    for server in ("10.77.0.100", "10.77.0.101"):
        applied.until(
            f"{server} is right",
            lambda server=server: shown("corp.test", "TXT", server) == sorted([FOREIGN, ours]),  # type: ignore[misc]
        )


def test_a_record_that_somebody_deleted_is_planned_and_comes_back(applied: Lab) -> None:
    by_hand("update delete _dmarc.corp.test. TXT")
    said = applied.mxfleet("dns", "plan")
    assert said.returncode == 2
    assert "  + _dmarc.corp.test. 5 TXT " in said.stdout
    assert applied.mxfleet("dns", "apply").returncode == 0
    assert shown("_dmarc.corp.test", "TXT") != []


def test_a_plan_that_would_orphan_a_live_selector_is_refused_by_name(applied: Lab) -> None:
    """Made from a ledger that does not know the keys any more, as of a checkout restored from an old backup."""
    fleet, directory = applied.fleet, ROOT / applied.fleet.state_directory
    providers = providers_for(fleet, Vault.of(fleet, ROOT), os.environ, Path(ROOT))
    state = read_state(directory)
    live = [key for key in state.signers() if key.owner == "corp.test"]
    names = [f"{key.label}._domainkey.corp.test" for key in live]
    before = [shown(name, "TXT") for name in names]
    assert len([text for text in before if text]) == 2
    planned = make_plan(fleet, replace(state, keys=()), providers, zones=["corp.test"])
    with (
        writing(directory, wall_clock, "a test", fleet.name) as writer,
        pytest.raises(
            GuardRefused, match=r"^live-selector: selector [re]\d{8}-[0-9a-f]{6} of corp\.test is active"
        ),
    ):
        apply_plan(planned, writer, providers)
    assert [shown(name, "TXT") for name in names] == before
    assert all(key.state is KeyState.ACTIVE for key in read_state(directory).signers())
