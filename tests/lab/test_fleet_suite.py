"""Show 3: tests/fleet passes on the lab, and names node and service where one was stopped by hand."""

from tests.lab.running import INVENTORY, Lab

SUITE = ("-q", "--no-header", "-p", "no:cacheprovider", "tests/fleet", "--fleet", str(INVENTORY))


def test_the_suite_passes_and_fails_naming_a_service_that_was_stopped(lab: Lab) -> None:
    healthy = lab.command("pytest", *SUITE)
    assert healthy.returncode == 0, healthy.stdout
    lab.inside("mx3", "systemctl stop mxd")
    try:
        done = lab.command("pytest", *SUITE)
    finally:
        lab.inside("mx3", "systemctl start mxd")
        lab.healthy("mx3")
    assert done.returncode == 1
    assert "mx3: mxd.service" in done.stdout
    assert "mx1: mxd.service" not in done.stdout
    again = lab.command("pytest", *SUITE)
    assert again.returncode == 0, again.stdout
