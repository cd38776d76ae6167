"""Each difference between the lab and production is still one; a difference that went away must leave the list."""

import subprocess

import pytest

from mxfleet.lab import guests
from mxfleet.lab.exceptions import DIFFERENCES, settable

NODE = "mx1"


def run(*command: str) -> subprocess.CompletedProcess[bytes]:
    return guests.run(NODE, command)


def with_property(setting: str, *command: str) -> bool:
    """Whether the command succeeds in a service with that setting."""
    return run("systemd-run", "--quiet", "--wait", "--pipe", "-p", setting, *command).returncode == 0


def test_the_clock_cannot_be_set() -> None:
    assert run("date", "-s", "@0").returncode != 0


@pytest.mark.parametrize("name", ["kernel.kptr_restrict", "fs.protected_fifos", "net.core.rmem_max"])
def test_a_sysctl_that_is_not_settable_is_refused(name: str) -> None:
    assert not settable(name)
    value = run("sysctl", "-n", name).stdout.decode().strip() or "1"
    assert b"not permitted" in run("sysctl", "-w", f"{name}={value}").stderr.replace(
        b"denied", b"not permitted"
    )


@pytest.mark.parametrize("name", ["net.ipv4.tcp_syncookies", "net.ipv6.conf.all.accept_redirects"])
def test_a_sysctl_of_the_network_is_set_as_in_production(name: str) -> None:
    assert settable(name)
    value = run("sysctl", "-n", name).stdout.decode().strip()
    assert run("sysctl", "-w", f"{name}={value}").returncode == 0


def test_denied_addresses_are_reached() -> None:
    reach = ["bash", "-c", "exec 3<>/dev/tcp/10.77.0.110/24"]
    assert with_property("IPAddressDeny=any", *reach)


def test_no_controller_limits_memory() -> None:
    controllers = run("cat", "/sys/fs/cgroup/cgroup.controllers").stdout.split()
    assert b"memory" not in controllers, (
        "this machine delegates memory: MemoryMax= works, take it from the list"
    )


def test_the_real_list_of_suffixes_is_long() -> None:
    suffixes = run("grep", "-c", "^[^/]", "/usr/share/publicsuffix/effective_tld_names.dat").stdout
    assert int(suffixes) > 5000


def test_the_list_is_closed_and_each_entry_has_its_reason() -> None:
    assert {one.identifier for one in DIFFERENCES} == {
        "clock", "sysctl", "limits", "addresses-denied", "packages", "resolver", "suffixes", "addressing",
    }  # fmt: skip
    assert all(one.what and one.why and one.instead for one in DIFFERENCES)
