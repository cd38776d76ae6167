"""Show 2: a second run changes nothing; drift names what somebody changed by hand, and a deploy mends it."""

import json

from tests.lab.running import Lab

NOOP_SECONDS = 8
EDIT = 'echo "# x" | sudo tee -a /etc/nftables.conf'


def test_a_second_run_of_pyinfra_itself_changes_nothing(lab: Lab) -> None:
    done = lab.command("pyinfra", "-y", "--json", "inventories/lab.py", "deploy.py")
    assert done.returncode == 0, done.stderr
    totals = json.loads(done.stdout)["results"]["totals"]
    assert (totals["success"], totals["error"]) == (0, 0), totals


def test_a_second_deploy_changes_nothing_and_takes_seconds(lab: Lab) -> None:
    told = json.loads(lab.deploy("--json").stdout)
    assert told["changes"] == [], told
    assert told["seconds"] <= NOOP_SECONDS


def test_drift_says_nothing_of_a_fleet_that_is_as_it_should_be(lab: Lab) -> None:
    done = lab.mxfleet("drift")
    assert done.returncode == 0, done.stdout + done.stderr


def test_drift_names_file_and_node_of_an_edit_by_hand_and_a_deploy_mends_it(lab: Lab) -> None:
    assert lab.mxfleet("lab", "ssh", "mx2", EDIT).returncode == 0
    try:
        done = lab.mxfleet("drift")
        told = lab.mxfleet("drift", "--json")
    finally:
        lab.deploy()
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "/etc/nftables.conf" in line]
    assert "mx2" in line
    assert "mx1" not in done.stdout
    assert (told.returncode, "/etc/nftables.conf" in told.stdout) == (2, True)
    assert json.loads(told.stdout)
    assert lab.mxfleet("drift").returncode == 0
    assert "# x" not in lab.inside("mx2", "cat /etc/nftables.conf").splitlines()
