"""The one seam to the nodes: this file alone names testinfra. Expectations come from the fleet, never from here.

All nodes are asked at once, each in about a dozen commands over one connection; tests compare values.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import testinfra

from mxfleet.doctor.inside import Inside, Wanted, observe, read_pairs
from mxfleet.doctor.outside import is_open
from mxfleet.doctor.standing import units
from mxfleet.fleet import Fleet, Node, SecretReference
from mxfleet.fleet.load import load_file
from mxfleet.fleet.signing import Signing
from mxfleet.keys.ledger import signing_for
from mxfleet.keys.secrets import resolve
from mxfleet.keys.vault import Vault
from mxfleet.lab.exceptions import DIFFERENCES
from mxfleet.render import File, antispam, directories
from mxfleet.render.desired import Desired, desire
from mxfleet.render.inputs import Inputs, gather
from mxfleet.render.release import version_of

ROOT = Path(__file__).resolve().parents[2]
ROOT_ZONE = (".", "SOA")
"""The one name that every chain of trust has validated."""


GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
LETTER = "From: <a@client.invalid>\r\nTo: <b@client.invalid>\r\nSubject: mxfleet\r\n\r\n"
LETTERS = (
    ("spam", "192.0.2.1", f"{LETTER}{GTUBE}\r\n"),
    ("private", "10.0.0.1", f"{LETTER}Good morning.\r\n"),
)
"""What every spam filter refuses, and something from an address that rspamd calls local unless it is told otherwise."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fleet", default=str(ROOT / "inventories" / "lab.py"), help="the inventory to verify")


def chosen(config: pytest.Config) -> Fleet:
    return load_file(Path(config.getoption("--fleet")))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "node" in metafunc.fixturenames:
        metafunc.parametrize(
            "node", chosen(metafunc.config).nodes, ids=lambda node: node.name, scope="session"
        )


@pytest.fixture(scope="session")
def fleet(pytestconfig: pytest.Config) -> Fleet:
    return chosen(pytestconfig)


@pytest.fixture(scope="session")
def signing(fleet: Fleet) -> Signing:
    return signing_for(fleet, ROOT)


@pytest.fixture(scope="session")
def release() -> str:
    """The version that a deploy from this checkout would bring."""
    return version_of(ROOT)


@pytest.fixture(scope="session")
def inputs(fleet: Fleet, release: str) -> Inputs:
    return gather(fleet, release, ROOT)


@pytest.fixture(scope="session")
def secret(fleet: Fleet) -> Callable[[SecretReference], bytes]:
    """Opens what the fleet only names; from the vault, on this machine."""
    vault = Vault.of(fleet, ROOT)
    return lambda reference: resolve(reference, vault, os.environ, ROOT)


@pytest.fixture(scope="session")
def desired(
    fleet: Fleet, signing: Signing, inputs: Inputs, secret: Callable[[SecretReference], bytes]
) -> dict[str, Desired]:
    """Node → what a deploy would make of it."""
    return {node.name: desire(fleet, node, signing, inputs, secret) for node in fleet.nodes}


@pytest.fixture(scope="session")
def rendered(desired: dict[str, Desired]) -> dict[str, tuple[File, ...]]:
    """Node → the files that it should have."""
    return {name: one.files for name, one in desired.items()}


def shell(fleet: Fleet, node: Node, directory: Path) -> Callable[[str], str]:
    """Run a command on the node as root, all over one kept connection."""
    configuration = fleet.ssh.config_file or directory / "ssh_config"
    host = testinfra.get_host(
        f"ssh://{fleet.ssh.user}@{node.address4}:{fleet.ssh.port}", ssh_config=str(configuration), sudo=True
    )

    def run(command: str) -> str:
        done = host.run(command)
        if done.exit_status == 255:  # ssh itself
            raise ConnectionError((done.stderr.strip() or "ssh failed").splitlines()[-1])
        return str(done.stdout)

    return run


@pytest.fixture(scope="session")
def inside(
    fleet: Fleet, rendered: dict[str, tuple[File, ...]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Inside | str]:
    """Node → what it says of itself, or why it could not be asked."""
    directory = tmp_path_factory.mktemp("ssh")
    (directory / "ssh_config").write_text(ssh_configuration(fleet, directory))

    def ask(node: Node) -> Inside | str:
        if not is_open(str(node.address4), fleet.ssh.port, 2):  # a kept connection would hang on
            return f"port {fleet.ssh.port} does not answer"
        try:
            return observe(shell(fleet, node, directory), wanted(fleet, rendered[node.name]))
        except (ConnectionError, RuntimeError) as error:
            return str(error)

    with ThreadPoolExecutor(len(fleet.nodes)) as pool:
        return dict(zip([node.name for node in fleet.nodes], pool.map(ask, fleet.nodes), strict=True))


def wanted(fleet: Fleet, files: tuple[File, ...]) -> Wanted:
    paths = [*(file.path for file in files), *(directory.path for directory in directories(files))]
    paths += antispam.SOCKETS if fleet.policy.scanner else ()
    kernel = next(file.text for file in files if file.path.startswith("/etc/sysctl.d/"))
    time_daemon = () if excepted(fleet, "clock") else ("systemd-timesyncd.service",)
    return Wanted(
        units=(*units(fleet), *time_daemon),
        paths=tuple(paths),
        sysctls=tuple(read_pairs(kernel)),
        questions=(ROOT_ZONE, *((domain.name, "SOA") for domain in fleet.domains)),
        users=("root", "mxd", fleet.ssh.user),
        letters=LETTERS if fleet.policy.scanner else (),
    )


def excepted(fleet: Fleet, identifier: str) -> bool:
    """Whether a lab's node differs here from production: only what that closed list names."""
    return fleet.laboratory and any(one.identifier == identifier for one in DIFFERENCES)


def ssh_configuration(fleet: Fleet, directory: Path) -> str:
    """For a fleet that brings no ssh_config: the user's own, with connections that are kept (20 s become 2)."""
    lines = ["Host *", "  BatchMode yes", "  ControlMaster auto", f"  ControlPath {directory}/%C"]
    lines += ["  ControlPersist 30", "  StrictHostKeyChecking yes"]
    lines += [f"  IdentityFile {fleet.ssh.key}"] if fleet.ssh.key else []
    lines += [f"  UserKnownHostsFile {fleet.ssh.known_hosts}"] if fleet.ssh.known_hosts else []
    return "\n".join([*lines, "Include ~/.ssh/config", ""])


@pytest.fixture
def seen(node: Node, inside: dict[str, Inside | str]) -> Inside:
    """The node's own word; a node that cannot be asked fails each test with the reason."""
    found = inside[node.name]
    if isinstance(found, str):
        pytest.fail(f"{node.name} could not be asked: {found}", pytrace=False)
    return found
