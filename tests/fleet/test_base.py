"""Users, ssh, kernel, journal, time."""

import time

from mxfleet.doctor.inside import Inside, read_pairs
from mxfleet.fleet import Fleet, Node
from mxfleet.render import File

Rendered = dict[str, tuple[File, ...]]
NO_SHELL = {"/usr/sbin/nologin", "/bin/false", "/usr/bin/false"}


def test_the_service_has_a_user_that_cannot_log_in(node: Node, seen: Inside) -> None:
    uid, shell = seen.users.get("mxd", (0, "no such user"))
    assert (node.name, uid > 0, shell in NO_SHELL) == (node.name, True, True), shell


def test_the_operator_can_log_in_and_is_not_root(fleet: Fleet, node: Node, seen: Inside) -> None:
    uid, shell = seen.users.get(fleet.ssh.user, (0, "no such user"))
    assert (node.name, uid > 0, shell in NO_SHELL) == (node.name, True, False), shell


def test_ssh_takes_neither_root_nor_passwords(fleet: Fleet, node: Node, seen: Inside) -> None:
    wanted = {
        "permitrootlogin": "no",
        "passwordauthentication": "no",
        "kbdinteractiveauthentication": "no",
        "pubkeyauthentication": "yes",
        "port": str(fleet.ssh.port),
    }
    assert (node.name, {name: seen.sshd.get(name) for name in wanted}) == (node.name, wanted)


def test_the_kernel_has_the_settings_of_the_file(node: Node, seen: Inside, rendered: Rendered) -> None:
    (file,) = (file for file in rendered[node.name] if file.path.startswith("/etc/sysctl.d/"))
    wanted = read_pairs(file.text)
    assert wanted
    assert (node.name, seen.sysctls) == (node.name, wanted)


def test_the_journal_is_kept_and_cannot_fill_the_disk(node: Node, seen: Inside, rendered: Rendered) -> None:
    (file,) = (file for file in rendered[node.name] if "/journald.conf.d/" in file.path)
    wanted = read_pairs(file.text)
    assert {"Storage", "SystemMaxUse", "SystemKeepFree"} <= wanted.keys()
    assert (node.name, {name: seen.journald.get(name) for name in wanted}) == (node.name, wanted)


def test_the_clock_is_right(node: Node, seen: Inside) -> None:
    """Against this machine's, asked some seconds ago: good enough for signatures and certificates."""
    assert (node.name, abs(time.time() - seen.clock) < 60) == (node.name, True)
