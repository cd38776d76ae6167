"""Show 6: a rule set that would cut SSH is rolled back by itself, and the deploy says so."""

import time
from collections.abc import Callable
from pathlib import Path

from mxfleet.doctor.outside import is_open
from tests.lab.running import Lab

WITHIN = 30
NOBODY = "admin_networks=(Network4('192.0.2.0/24'), Network6('2001:db8::/32'))"
"""Networks for documentation (RFC 5737, RFC 3849): we do not log in from there."""


def test_rules_that_lock_us_out_are_rolled_back_and_the_deploy_says_so(
    lab: Lab, variant: Callable[[str], Path]
) -> None:
    before = {node.name: lab.inside(node.name, "nft list ruleset") for node in lab.fleet.nodes}
    begun = time.monotonic()
    done = lab.mxfleet("deploy", "--fleet", str(variant(NOBODY)))
    took = time.monotonic() - begun
    first = lab.roll_order()[0]
    assert done.returncode == 1, done.stdout
    assert "rolled back" in done.stdout + done.stderr
    assert first in done.stdout + done.stderr
    for node in lab.fleet.nodes:
        lab.until(f"ssh to {node.name}", lambda node=node: is_open(str(node.address4), 22), WITHIN)  # type: ignore[misc]
        assert lab.inside(node.name, "nft list ruleset") == before[node.name], node.name
    assert took < 60 + WITHIN
    lab.deploy()
    assert lab.mxfleet("drift").returncode == 0
