"""What a node does when a signing key is in other hands, run for real in a directory of its own (as root, for owners)."""

import fcntl
import os
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mxfleet.fleet import Fleet
from mxfleet.fleet.secrets import Secret, SecretReference
from mxfleet.fleet.signing import Signing
from mxfleet.render import key_switch, render
from mxfleet.render.file import name_of
from mxfleet.render.smtp import DKIM, NOTING, SETTINGS
from mxfleet.render.view import View
from tests.unit.render.samples import fleet_of, inputs_of, signing_of

FLEETS = ("lab", "single", "example")
SYSTEMCTL = """#!/bin/sh
echo "$*" >>{root}/log
case "$*" in "$(cat {root}/fails 2>/dev/null || echo none)"*) exit 1 ;; esac
"""
MXD = """#!/bin/sh
[ "$1" = check ] && [ -r "$2" ] || exit 9
[ ! -e {root}/refusal ] || {{ cat {root}/refusal >&2; exit 1; }}
"""


def resolve(reference: SecretReference) -> bytes:
    return f"<{name_of(reference)}>\n".encode()


def rotated(signing: Signing) -> Signing:
    """Another RSA key for the first domain, and one that is called."""
    new = replace(signing.dkim[0], selector="r20261201-000000", secret=Secret("dkim/new"))
    called = replace(new, selector="e20261201-111111", algorithm="ed25519", secret=Secret("dkim/called"))
    return replace(signing, dkim=(new, *signing.dkim[1:]), called=(called,))


@dataclass
class Node:
    """A directory with everything that a deploy has brought to the fleet's first node."""

    root: Path
    fleet: Fleet
    signing: Signing = field(init=False)

    def __post_init__(self) -> None:
        self.signing = signing_of(self.fleet)
        for path, content in self.rendered(self.signing).items():
            place = Path(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content)
        programs = {"bin/systemctl": SYSTEMCTL, "current/venv/bin/mxd": MXD}
        for name, text in programs.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text.format(root=self.root))
            (self.root / name).chmod(0o755)

    def here(self, text: str) -> str:
        """A node's paths are below the directory."""
        for place in ("/etc", "/run"):
            text = text.replace(f"{place}/", f"{self.root}{place}/")
        return text.replace("/opt/mxfleet", str(self.root))

    def rendered(self, signing: Signing) -> dict[str, str]:
        """Path → content, of the files that the service reads."""
        files = render(self.fleet, self.fleet.nodes[0], signing, inputs_of(self.fleet))
        return {
            self.here(file.path): self.here(file.content(resolve).decode())
            for file in files
            if file.path in (SETTINGS, NOTING) or file.path.startswith(DKIM)
        }

    def switch(self, signing: Signing) -> subprocess.CompletedProcess[str]:
        view = View(fleet=self.fleet, node=self.fleet.nodes[0], signing=signing)
        environment = {**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        return subprocess.run(
            ["sh", "-s"], input=self.here(key_switch.script(view, resolve)), env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    @property
    def settings(self) -> Path:
        return Path(self.here(SETTINGS))

    @property
    def asked(self) -> list[str]:
        """What systemd was asked for."""
        log = self.root / "log"
        return log.read_text().splitlines() if log.exists() else []

    def files(self) -> dict[str, str]:
        return {str(path): path.read_text() for path in (self.root / "etc").rglob("*") if path.is_file()}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path, fleet_of("lab"))


@pytest.mark.parametrize("inventory", FLEETS)
def test_where_nothing_else_differs_the_node_is_as_a_deploy_would_have_left_it(
    tmp_path: Path, inventory: str
) -> None:
    node = Node(tmp_path, fleet_of(inventory))
    done = node.switch(rotated(node.signing))
    assert (done.returncode, done.stderr) == (0, "")
    assert node.files() == node.rendered(rotated(node.signing))
    assert node.asked == ["daemon-reload", "is-active --quiet mxd.service", "reload mxd.service"]
    for path in node.files():
        if path.endswith(".pem"):
            assert Path(path).stat().st_mode & 0o7777 == 0o640


def test_a_new_key_is_for_the_service_alone(node: Node) -> None:
    node.settings.chmod(0o640)
    os.chown(node.settings, 0, 12345)
    assert node.switch(rotated(node.signing)).returncode == 0
    new = Path(node.here(f"{DKIM}/corp.test/r20261201-000000.pem")).stat()
    assert (new.st_uid, new.st_gid, new.st_mode & 0o7777) == (0, 12345, 0o640)
    assert node.settings.stat().st_gid == 12345
    assert node.settings.stat().st_mode & 0o7777 == 0o640


def test_what_else_lies_there_stays_as_it_is(node: Node) -> None:
    """An unfinished change is neither completed nor undone in a hurry."""
    text = node.settings.read_text()
    node.settings.write_text(text.replace("workers = 2", "workers = 7  # by hand"))
    assert node.switch(rotated(node.signing)).returncode == 0
    wanted = node.rendered(rotated(node.signing))[str(node.settings)]
    assert node.settings.read_text() == wanted.replace("workers = 2", "workers = 7  # by hand")


def test_a_node_that_is_to_sign_nothing_any_more_has_no_key_left(node: Node) -> None:
    assert node.switch(replace(node.signing, dkim=())).returncode == 0
    assert not [path for path in node.files() if path.endswith(".pem")]
    assert "[[dkim]]" not in node.settings.read_text()
    assert node.settings.read_text() == node.rendered(replace(node.signing, dkim=()))[str(node.settings)]
    assert node.switch(node.signing).returncode == 0
    assert node.files() == node.rendered(node.signing)


def test_settings_that_the_node_s_own_release_refuses_are_not_put_in_place(node: Node) -> None:
    before = node.settings.read_text()
    (node.root / "refusal").write_text("mxd: [[dkim]] has no field selector\n")
    done = node.switch(rotated(node.signing))
    assert done.returncode == 1
    assert done.stderr == "mxfleet: mxd: [[dkim]] has no field selector\n"
    assert node.settings.read_text() == before
    assert node.asked == []
    assert not [path for path in node.files() if path.endswith("-new")]


def test_a_service_that_takes_no_reload_is_restarted(node: Node) -> None:
    (node.root / "fails").write_text("reload ")
    assert node.switch(rotated(node.signing)).returncode == 0
    assert node.asked[-2:] == ["reload mxd.service", "restart mxd.service"]


def test_a_service_that_was_stopped_stays_so(node: Node) -> None:
    (node.root / "fails").write_text("is-active ")
    assert node.switch(rotated(node.signing)).returncode == 0
    assert node.asked == ["daemon-reload", "is-active --quiet mxd.service"]
    assert node.files() == node.rendered(rotated(node.signing))


def test_a_deploy_that_is_under_way_is_named(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_switch, "WAIT", 0)
    lock = Path(node.here(key_switch.LOCK))
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        held.write("ops@desk since 2026-11-24 15:00:00 UTC\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        done = node.switch(rotated(node.signing))
    assert done.returncode == 1
    assert done.stderr == "mxfleet: held by ops@desk since 2026-11-24 15:00:00 UTC, who deploys this node\n"
    assert node.files() == node.rendered(node.signing)


def test_a_node_whose_directory_of_keys_is_missing_gets_it_for_the_service_alone(node: Node) -> None:
    shutil.rmtree(node.here(DKIM))
    node.settings.chmod(0o640)
    os.chown(node.settings, 0, 12345)
    done = node.switch(rotated(node.signing))
    assert (done.returncode, done.stderr) == (0, "")
    assert node.files() == node.rendered(rotated(node.signing))
    for directory in (DKIM, f"{DKIM}/corp.test"):
        found = Path(node.here(directory)).stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, 12345, 0o750)


def test_a_node_to_which_nothing_was_deployed_says_so(tmp_path: Path) -> None:
    node = Node(tmp_path, fleet_of("lab"))
    node.settings.unlink()
    assert node.switch(rotated(node.signing)).stderr == "mxfleet: nothing was deployed here yet\n"


def test_keys_of_other_domains_than_the_node_s_are_left_out() -> None:
    signing = rotated(signing_of(fleet_of("lab")))
    left = key_switch.of_domains(signing, frozenset({"shop.test"}))
    assert {key.domain for key in left.dkim} == {"shop.test"}
    assert left.called == ()
