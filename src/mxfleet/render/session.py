"""How the operator's own `ssh` reaches a node: the words of the command, nothing run."""

from pathlib import Path

from mxfleet.fleet.model import Address, Fleet, Node


def ssh(fleet: Fleet, node: Node, address: Address | None = None, *, fresh: bool = False) -> list[str]:
    """`ssh …` up to and with the destination; append the remote command.

    `fresh` never rides on an open connection, so that it proves that a new one works. The host key is
    looked up under the node's IPv4 address whichever address is used.
    """
    options = ["BatchMode=yes", "ConnectTimeout=4", f"HostKeyAlias={node.address4}", "LogLevel=ERROR"]
    if fleet.ssh.known_hosts:
        options += [f"UserKnownHostsFile={fleet.ssh.known_hosts.expanduser()}", "StrictHostKeyChecking=yes"]
    if fleet.ssh.key:
        options += ["IdentitiesOnly=yes", f"IdentityFile={fleet.ssh.key.expanduser()}"]
    if fresh:
        options += ["ControlMaster=no", "ControlPath=none"]
    words = ["ssh", *_configuration(fleet.ssh.config_file)]
    for option in options:
        words += ["-o", option]
    return [*words, "-p", str(fleet.ssh.port), "-l", fleet.ssh.user, str(address or node.address4)]


def _configuration(path: Path | None) -> list[str]:
    return ["-F", str(path.expanduser())] if path else []
