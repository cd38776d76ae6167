"""What an administrator types on a node: `mxd`, without a path."""

import json

from tests.lab.running import Lab


def test_mxd_is_in_the_path_of_root(lab: Lab) -> None:
    for node in lab.fleet.nodes:
        done = lab.mxfleet("lab", "ssh", node.name, "sudo mxd health")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["commits"] is True
        assert lab.mxfleet("lab", "ssh", node.name, "sudo mxd queue list").returncode == 0
