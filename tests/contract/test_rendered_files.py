"""Every rendered file is accepted by the program that will read it: that of the nodes' own image; needs root."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from mxfleet.fleet.model import Fleet, Node
from mxfleet.lab import packages
from mxfleet.lab.image import cache_directory, ready
from mxfleet.render import File, render
from mxfleet.render.antispam import DEBIAN_SUFFIXES, MEMORY, SUFFIXES
from mxfleet.render.resolver import UNBOUND
from tests.unit.render.samples import INVENTORIES, fleet_of, inputs_of, signing_of

NODES = [(fleet_of(name), node) for name in INVENTORIES for node in fleet_of(name).nodes]


def rendered(fleet: Fleet, node: Node) -> dict[str, File]:
    return {file.path: file for file in render(fleet, node, signing_of(fleet), inputs_of(fleet))}


ENTER = """
set -e
mount -t tmpfs none /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay none -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
mkdir -p "/mnt/root$2"
mount --bind "$2" "/mnt/root$2"
mount --rbind /dev /mnt/root/dev
mount -t proc none /mnt/root/proc
mount -t sysfs none /mnt/root/sys
mount -t tmpfs none /mnt/root/run
mkdir /mnt/root/run/sshd
ip link add eth0 type veth peer name far0
ip link set eth0 up
ip link set lo up
shift 2
exec chroot /mnt/root "$@"
"""
"""In namespaces of its own, over the image and never in it, so that neither it nor this machine is touched."""


def image() -> Path:
    """The root of the nodes' image, made where `lab up` has not made it yet."""
    packages.ensure(lambda _: os.environ.get("CI") == "true")
    return ready({"node"}, cache_directory(os.environ), print)["node"]


def run(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A program of the nodes' image, which sees the directory under its own name."""
    return subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", ENTER, "sh", str(image()), str(directory), *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("fleet", "node"), NODES, ids=lambda value: value.name)
def test_the_kernel_takes_the_firewall_rules(fleet: Fleet, node: Node, tmp_path: Path) -> None:
    rules = tmp_path / "nftables.conf"
    rules.write_text(rendered(fleet, node)["/etc/nftables.conf"].text)
    result = run(tmp_path, "sh", "-c", f"nft -c -f {rules} && nft -f {rules} && nft list ruleset")
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
    result = run(tmp_path, "/usr/sbin/sshd", "-t", "-h", str(key), "-f", str(settings))
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(("fleet", "node"), NODES, ids=lambda value: value.name)
def test_unbound_takes_its_settings(fleet: Fleet, node: Node, tmp_path: Path) -> None:
    files = rendered(fleet, node)
    hints = tmp_path / "hints"
    hints.write_text(". 3600 NS a.root.test.\na.root.test. 3600 A 10.77.0.100\n")
    settings = tmp_path / "unbound.conf"
    settings.write_text(files[UNBOUND].text.replace("/etc/unbound/mxfleet-root.hints", str(hints)))
    result = run(tmp_path, "/usr/sbin/unbound-checkconf", str(settings))
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
    settings.write_text(
        text.replace("/usr/local/lib/mxfleet/check-exchange", "/bin/true").replace(
            "keepalived_script", "nobody"
        )
    )
    result = run(tmp_path, "/usr/sbin/keepalived", "-t", "-f", str(settings))
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)


def test_keepalived_would_say_what_is_wrong(tmp_path: Path) -> None:
    settings = tmp_path / "keepalived.conf"
    settings.write_text("vrrp_instance service {\n    advert_imt 1\n}\n")
    assert "advert_imt" in run(tmp_path, "/usr/sbin/keepalived", "-t", "-f", str(settings)).stderr


RSPAMD = """set -e
cp "$1"/*.list /etc/rspamd/
echo nameserver 127.0.0.1 >/etc/resolv.conf
printf 'test\\n' >/etc/rspamd/mxfleet-suffixes.dat
runuser -u _rspamd -- rspamadm configtest -c /dev/stdin < "$1/rspamd.conf"
"""


@pytest.mark.parametrize(("fleet", "node"), NODES, ids=lambda value: value.name)
def test_rspamd_takes_its_settings(fleet: Fleet, node: Node, tmp_path: Path) -> None:
    for path, file in rendered(fleet, node).items():
        if path.startswith("/etc/rspamd/"):
            # the real list of suffixes takes 10 s to compile, each time
            text = file.text.replace(DEBIAN_SUFFIXES, SUFFIXES)
            (tmp_path / Path(path).name).write_text(text)
    result = run(tmp_path, "sh", "-c", RSPAMD, "sh", str(tmp_path))
    assert (result.stdout, result.stderr, result.returncode) == ("syntax OK\n", "", 0)


VALKEY = """set -e
mkdir /run/valkey
valkey-server "$1" --supervised no --dir /run/valkey &
for _ in $(seq 100); do [ -S /run/valkey/mxfleet.sock ] && break; sleep 0.1; done
echo 'CONFIG GET maxmemory' | valkey-cli -s /run/valkey/mxfleet.sock
ss -Hltn
valkey-cli -s /run/valkey/mxfleet.sock SHUTDOWN NOSAVE
"""


@pytest.mark.parametrize(("fleet", "node"), NODES, ids=lambda value: value.name)
def test_valkey_takes_its_settings_and_listens_on_no_port(fleet: Fleet, node: Node, tmp_path: Path) -> None:
    settings = tmp_path / "valkey.conf"
    settings.write_text(rendered(fleet, node)[MEMORY].text)
    result = run(tmp_path, "sh", "-c", VALKEY, "sh", str(settings))
    assert fleet.policy.scanner is not None
    said = [
        line
        for line in result.stdout.splitlines()
        if "WARNING Memory overcommit" not in line and "bye bye" not in line
    ]
    assert said == ["maxmemory", str(fleet.policy.scanner.cache)], result.stdout + result.stderr


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
    names = [str(tmp_path / Path(path).name) for path in units]
    result = run(tmp_path, "systemd-analyze", "verify", "--man=no", *names)
    said = [line for line in result.stderr.splitlines() if str(tmp_path) in line or "Unknown" in line]
    assert said == []
