"""Every rendered file is accepted by the program that will read it; needs root and Debian's nftables, unbound, keepalived, sshd."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mxfleet.fleet.model import Fleet, Node
from mxfleet.render import File, render
from mxfleet.render.resolver import UNBOUND
from tests.unit.render.samples import INVENTORIES, fleet_of, inputs_of, signing_of

NODES = [(fleet_of(name), node) for name in INVENTORIES for node in fleet_of(name).nodes]
PROGRAMS = ("nft", "sshd", "unbound-checkconf", "keepalived", "systemd-analyze")


def rendered(fleet: Fleet, node: Node) -> dict[str, File]:
    return {file.path: file for file in render(fleet, node, signing_of(fleet), inputs_of(fleet))}


def run(*words: str, inside: str = "") -> subprocess.CompletedProcess[str]:
    """In a network namespace of its own, so that nothing of this machine is touched."""
    prepare = f"ip link add eth0 type veth peer name far0; ip link set eth0 up; ip link set lo up; {inside} "
    return subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", f'{prepare} exec "$@"', "sh", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def programs() -> None:
    missing = [name for name in PROGRAMS if not shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")]
    assert not missing, f"install {', '.join(missing)}"


@pytest.mark.parametrize(("fleet", "node"), NODES, ids=lambda value: value.name)
def test_the_kernel_takes_the_firewall_rules(fleet: Fleet, node: Node, tmp_path: Path) -> None:
    rules = tmp_path / "nftables.conf"
    rules.write_text(rendered(fleet, node)["/etc/nftables.conf"].text)
    result = run("sh", "-c", f"nft -c -f {rules} && nft -f {rules} && nft list ruleset")
    assert result.returncode == 0, result.stderr
    assert "policy drop" in result.stdout
    for network in fleet.admin_networks:
        assert re.sub(r"/(32|128)$", "", str(network)) in result.stdout


@pytest.mark.parametrize(("fleet", "node"), NODES, ids=lambda value: value.name)
def test_sshd_takes_its_settings(fleet: Fleet, node: Node, tmp_path: Path) -> None:
    settings = tmp_path / "sshd"
    settings.write_text(rendered(fleet, node)["/etc/ssh/sshd_config.d/50-mxfleet.conf"].text)
    key = tmp_path / "host"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    result = run(
        "/usr/sbin/sshd",
        "-t",
        "-h",
        str(key),
        "-f",
        str(settings),
        inside="mount -t tmpfs none /run; mkdir /run/sshd;",
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(("fleet", "node"), NODES, ids=lambda value: value.name)
def test_unbound_takes_its_settings(fleet: Fleet, node: Node, tmp_path: Path) -> None:
    files = rendered(fleet, node)
    hints = tmp_path / "hints"
    hints.write_text(". 3600 NS a.root.test.\na.root.test. 3600 A 10.77.0.100\n")
    settings = tmp_path / "unbound.conf"
    settings.write_text(files[UNBOUND].text.replace("/etc/unbound/mxfleet-root.hints", str(hints)))
    result = run("/usr/sbin/unbound-checkconf", str(settings))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("fleet", "node"), NODES, ids=lambda value: value.name)
def test_keepalived_takes_its_settings(fleet: Fleet, node: Node, tmp_path: Path) -> None:
    files = rendered(fleet, node)
    if fleet.service is None:
        assert "/etc/keepalived/keepalived.conf" not in files
        return
    check = tmp_path / "check-exchange"
    check.write_text(files["/usr/local/lib/mxfleet/check-exchange"].text)
    check.chmod(0o755)
    settings = tmp_path / "keepalived.conf"
    text = files["/etc/keepalived/keepalived.conf"].text
    if "v2.2" in subprocess.run(["/usr/sbin/keepalived", "--version"], capture_output=True, text=True).stderr:
        text = text.replace(
            "interval 0.5", "interval 1"
        )  # Debian 12's knows whole seconds only; nodes have 2.3
    settings.write_text(
        text.replace("/usr/local/lib/mxfleet/check-exchange", "/bin/true").replace(
            "keepalived_script", "nobody"
        )
    )
    result = run("/usr/sbin/keepalived", "-t", "-f", str(settings))
    # 2.2.7 (Debian 12) ends its own test by SIGTERM whatever it found; what is wrong it always says
    assert (result.stdout, result.stderr.replace("Terminated", "").strip()) == ("", "")
    assert result.returncode in (0, -15)


def test_keepalived_would_say_what_is_wrong(tmp_path: Path) -> None:
    settings = tmp_path / "keepalived.conf"
    settings.write_text("vrrp_instance service {\n    advert_imt 1\n}\n")
    assert "advert_imt" in run("/usr/sbin/keepalived", "-t", "-f", str(settings)).stderr


@pytest.mark.parametrize(("fleet", "node"), NODES, ids=lambda value: value.name)
def test_scripts_are_shell_and_python(fleet: Fleet, node: Node) -> None:
    for file in rendered(fleet, node).values():
        if file.mode == 0o755:
            interpreter = file.text.split("\n", 1)[0].removeprefix("#!")
            if "python" in interpreter:
                compile(file.text, file.path, "exec")
            else:
                done = subprocess.run(
                    [interpreter, "-n"], input=file.text, capture_output=True, text=True, check=False
                )
                assert (file.path, done.returncode, done.stderr) == (file.path, 0, "")


@pytest.mark.parametrize(("fleet", "node"), NODES, ids=lambda value: value.name)
def test_systemd_knows_every_line_of_our_units(fleet: Fleet, node: Node, tmp_path: Path) -> None:
    ours = {
        path: file for path, file in rendered(fleet, node).items() if path.startswith("/etc/systemd/system/")
    }
    units = [path for path in ours if path.count("/") == 4]
    for path, file in ours.items():
        if path in units:
            (tmp_path / Path(path).name).write_text(
                re.sub(r"/opt/mxfleet\S*|/usr/local/lib/mxfleet/\w+", "/bin/true", file.text)
            )
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / Path(path).name) for path in units)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = [line for line in result.stderr.splitlines() if str(tmp_path) in line or "Unknown" in line]
    assert said == []
