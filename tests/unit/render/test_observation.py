"""What a node answers, as captured in the lab, becomes one value."""

import subprocess
from pathlib import Path

import pytest

from mxfleet.errors import DeployError
from mxfleet.render.desired import desire
from mxfleet.render.observation import Access, Observation, UnitState, parse, script

from .samples import fleet_of, inputs_of, resolve, signing_of

ANSWER = (Path(__file__).parent / "answers" / "mx1.txt").read_text()


@pytest.fixture
def seen() -> Observation:
    return parse(ANSWER.splitlines())


def test_files_have_digest_and_access(seen: Observation) -> None:
    assert len(seen.digests["/etc/nftables.conf"]) == 64
    assert seen.access["/etc/mxfleet/backup-password"] == Access("root", "root", 0o600)
    assert seen.access["/etc/mxfleet"] == Access("root", "mxd", 0o750)


def test_packages_users_and_settings_are_those_that_exist(seen: Observation) -> None:
    assert {"nftables", "unbound", "keepalived"} <= seen.packages
    assert seen.users == {"mxd", "keepalived_script"}
    assert seen.settings["net.ipv4.conf.all.arp_ignore"] == "1"


def test_units_are_kept_apart_although_their_properties_come_in_one_stream(seen: Observation) -> None:
    assert seen.units["mxd.service"] == UnitState("active", "enabled", False)
    assert seen.units["systemd-journald.service"].enabled == "static"
    assert seen.serves


def test_a_unit_that_notes_two_lines_keeps_both(seen: Observation) -> None:
    assert seen.loaded["nftables.service"][1] == seen.rules
    assert len(seen.loaded["unbound.service"]) == 1


def test_addresses_of_both_families_are_read(seen: Observation) -> None:
    assert {"10.77.0.11", "fd77:77::11", "::1"} <= seen.addresses


def test_the_current_release_is_one_of_the_releases(seen: Observation) -> None:
    assert seen.release in seen.releases
    assert seen.machine == "x86_64"


def test_an_answer_that_was_cut_off_is_refused() -> None:
    with pytest.raises(DeployError, match="cut off"):
        parse(ANSWER.splitlines()[:-1])


def test_the_script_succeeds_and_is_whole_on_a_machine_that_has_nothing_of_ours() -> None:
    fleet = fleet_of("lab")
    target = desire(fleet, fleet.nodes[0], signing_of(fleet), inputs_of(fleet), resolve)
    result = subprocess.run(
        ["sh", "-s"], input=script(target.questions), capture_output=True, text=True, check=True
    )
    assert result.stderr == ""
    assert parse(result.stdout.splitlines()).machine
