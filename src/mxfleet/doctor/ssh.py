"""The ssh command lines by which the operator asks a node, as values."""

from collections.abc import Sequence

from mxfleet.fleet import Node, Ssh

CONNECT_SECONDS = 4


def ssh_command(ssh: Ssh, node: Node, remote: Sequence[str]) -> list[str]:
    """The words that run `remote` on the node; never asks for anything, gives up connecting after four seconds."""
    options = [
        "-o",
        "BatchMode=yes",
        "-o",
        f"ConnectTimeout={CONNECT_SECONDS}",
        "-o",
        "StrictHostKeyChecking=yes",
    ]
    if ssh.config_file:
        options += ["-F", str(ssh.config_file)]
    if ssh.key:
        options += ["-i", str(ssh.key)]
    if ssh.known_hosts:
        options += ["-o", f"UserKnownHostsFile={ssh.known_hosts}"]
    return ["ssh", *options, "-p", str(ssh.port), f"{ssh.user}@{node.address4}", *remote]
