"""The one line that makes an inventory a pyinfra inventory: `mx = hosts(FLEET)`."""

from typing import Any

from mxfleet.fleet.model import Fleet, Node


def hosts(fleet: Fleet) -> list[tuple[str, dict[str, Any]]]:
    """Hosts for pyinfra with their data: the fleet, the node, and how ssh reaches it; no secret in it."""
    return [(node.name, _data(fleet, node)) for node in fleet.nodes]


def _data(fleet: Fleet, node: Node) -> dict[str, Any]:
    data: dict[str, Any] = {
        "fleet": fleet,
        "node": node,
        "ssh_hostname": str(node.address4),
        "ssh_user": fleet.ssh.user,
        "ssh_port": fleet.ssh.port,
        "ssh_strict_host_key_checking": "yes",
    }
    if fleet.ssh.key:
        data["ssh_key"] = str(fleet.ssh.key)
    if fleet.ssh.known_hosts:
        data["ssh_known_hosts_file"] = str(fleet.ssh.known_hosts)
    return data
