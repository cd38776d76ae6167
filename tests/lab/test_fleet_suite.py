"""Show 3: tests/fleet passes on the lab, and names node and service where one was stopped by hand."""

import re

from mxfleet.lab import guests
from tests.lab.running import INVENTORY, Lab

SUITE = ("-q", "--no-header", "-rfE", "-p", "no:cacheprovider", "tests/fleet", "--fleet", str(INVENTORY))
NODE = "mx3"
LISTENER = "import socket, time; s = socket.create_server(('0.0.0.0', 9999)); time.sleep(600)"
TAMPERED = {  # a shell command on the node → the tests that must notice it there
    "systemctl stop mxfleet-backup.timer": {"test_every_service_runs"},
    "systemctl disable --quiet unbound": {"test_every_service_starts_with_the_machine"},
    "nft add element inet mxfleet admin4 '{ 192.0.2.1 }'": {
        "test_the_sets_are_those_of_the_fleet",
        "test_nobody_changed_the_rules_behind_the_file",
    },
    "nft chain inet mxfleet forward '{ policy accept; }'": {
        "test_what_comes_in_or_passes_through_is_dropped_by_default_in_both_families"
    },
    "sysctl -q -w net.ipv4.tcp_syncookies=0": {"test_the_kernel_has_the_settings_of_the_file"},
    "chmod o+r /etc/mxfleet/accounts.toml": {
        "test_no_secret_is_readable_by_others",
        "test_every_file_is_what_the_fleet_renders",
    },
    "chmod o+x /etc/mxfleet": {"test_our_directories_are_for_the_service_alone"},
    "touch /etc/mxfleet/stray": {"test_nothing_else_lies_among_our_files"},
    "cp /etc/mxfleet/tls/mx.corp.test/key.pem /var/tmp/key": {"test_no_private_key_was_left_anywhere_else"},
    f'setsid python3 -c "{LISTENER}" >/dev/null 2>&1 & sleep 0.5': {
        "test_exactly_the_ports_of_the_fleet_are_open_to_the_network"
    },
    "echo 'PermitRootLogin yes' > /etc/ssh/sshd_config.d/00-tampered.conf": {
        "test_ssh_takes_neither_root_nor_passwords"
    },
    "printf '[Journal]\\nSystemMaxUse=9G\\n' > /etc/systemd/journald.conf.d/99-tampered.conf": {
        "test_the_journal_is_kept_and_cannot_fill_the_disk"
    },
    "usermod -s /bin/sh mxd": {"test_the_service_has_a_user_that_cannot_log_in"},
    "echo > /run/mxfleet/loaded/keepalived.service": {
        "test_every_unit_has_loaded_the_files_that_are_on_the_disk"
    },
    "ip addr add 10.77.0.99/32 dev eth0": {"test_a_node_has_its_own_addresses_and_at_most_the_service_s"},
}
MENDED = """
rm -f /var/tmp/key /etc/ssh/sshd_config.d/00-tampered.conf /etc/systemd/journald.conf.d/99-tampered.conf
usermod -s /usr/sbin/nologin mxd; ip addr del 10.77.0.99/32 dev eth0; systemctl enable --quiet unbound
kill $(ss -Hltnp 'sport = :9999' | grep -o 'pid=[0-9]*' | cut -d= -f2)
"""


def failures(lab: Lab) -> dict[str, set[str]]:
    """Node → the tests that failed for it ("" for those of no single node)."""
    done = lab.command("pytest", *SUITE)
    found: dict[str, set[str]] = {}
    for name, node in re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)(?:\[(\w+)[^\]]*\])?", done.stdout, re.M):
        found.setdefault(node, set()).add(name)
    assert done.returncode == (1 if found else 0), done.stdout[-3000:] + done.stderr[-1000:]
    return found


def test_the_suite_passes_on_the_lab(lab: Lab) -> None:
    done = lab.command("pytest", *SUITE)
    assert done.returncode == 0, done.stdout


def test_a_service_that_was_stopped_by_hand_is_named_with_its_node(lab: Lab) -> None:
    lab.inside(NODE, "systemctl stop mxd")
    try:
        done = lab.command("pytest", *SUITE)
    finally:
        lab.inside(NODE, "systemctl start mxd")
        lab.healthy(NODE)
    assert done.returncode == 1
    assert f"{NODE}: mxd.service" in done.stdout
    assert "mx1: mxd.service" not in done.stdout


def test_whatever_somebody_changes_by_hand_is_noticed_on_that_node_alone(lab: Lab) -> None:
    """The suite's own test: each change is seen by the test that is there for it, and by no other."""
    try:
        for command in TAMPERED:
            guests.run(NODE, ["sh", "-c", command], check=True)
        found = failures(lab)
    finally:
        guests.run(NODE, ["sh", "-c", MENDED])
        lab.deploy()
    assert found == {NODE: set().union(*TAMPERED.values())}
    assert failures(lab) == {}
