"""What mxd's unit forbids, by attempts from inside it; the same attempts succeed on the same node without it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mxfleet.lab import guests
from tests.lab.running import Lab

NODE = "mx3"
UNIT, PROBE = "mxd.service", "mxd-attempts.service"
SCRIPT = Path(__file__).with_name("attempts.py")
INSIDE, OUTSIDE = "/run/mxd-attempts.json", "/run/mxd-attempts-outside.json"
NOT_OF_THE_SANDBOX = {
    "Type", "NotifyAccess", "ExecStartPre", "ExecStart", "ExecStopPost", "ExecReload", "Sockets", "Restart", "RestartSec",
}  # fmt: skip
PROBE_UNIT = """[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -I /run/mxd-attempts.py
StandardOutput=truncate:{output}
RuntimeDirectoryPreserve=yes
{sandbox}
"""
REFUSED_BY_THE_LAB = {
    "set the clock": "@clock",
    "load a module": "@module",
    "another kernel": "@reboot",
    "the kernel's log": "syslog",
    "bpf": "bpf",
    "performance counters": "perf_event_open",
    "the kernel's keyring": "@keyring",
}
"""What no guest of the lab may, sandbox or not → the system calls that must lack in the unit's own filter."""


class Attempts(NamedTuple):
    """Attempt → why it failed, empty where it succeeded."""

    forbidden: dict[str, str]
    needed: dict[str, str]


def properties(lab: Lab, unit: str) -> dict[str, str]:
    lines = lab.inside(NODE, f"systemctl show {unit}").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def sandbox_lines(lab: Lab) -> list[str]:
    """The [Service] lines of mxd's unit, drop-ins too, without those that say what it runs and how."""
    text = lab.inside(NODE, f"systemctl cat {UNIT}")
    service = re.findall(r"^\[Service\]\n(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    lines = [line for part in service for line in part.splitlines() if re.match(r"[A-Z]\w+=", line)]
    return [line for line in lines if line.partition("=")[0] not in NOT_OF_THE_SANDBOX]


def attempted(lab: Lab, sandbox: str, output: str) -> Attempts:
    unit = PROBE_UNIT.format(output=output, sandbox=sandbox)
    lab.inside(NODE, "cat > /run/mxd-attempts.py && chmod 644 /run/mxd-attempts.py", SCRIPT.read_bytes())
    lab.inside(NODE, f"cat > /run/systemd/system/{PROBE} && systemctl daemon-reload", unit.encode())
    lab.inside(NODE, f"systemctl start {PROBE}")
    return Attempts(**json.loads(lab.inside(NODE, f"cat {output}")))


@pytest.fixture(scope="module")
def outside(lab: Lab) -> Attempts:
    """The attempts as root, in a service without any sandbox."""
    return attempted(lab, "", OUTSIDE)


@pytest.fixture(scope="module")
def inside(lab: Lab, outside: Attempts) -> Iterator[Attempts]:
    """The attempts in a service that has every line of mxd's own; its unit stays while the tests run."""
    yield attempted(lab, "\n".join(sandbox_lines(lab)), INSIDE)
    files = f"/run/systemd/system/{PROBE} /run/mxd-attempts.py {INSIDE} {OUTSIDE}"
    lab.inside(NODE, f"rm -f {files} && systemctl daemon-reload && systemctl reset-failed")


def test_nothing_that_is_forbidden_succeeds_inside(inside: Attempts) -> None:
    assert [name for name, why in inside.forbidden.items() if not why] == []


def test_what_mxd_needs_it_can_do_inside(inside: Attempts) -> None:
    assert {name: why for name, why in inside.needed.items() if why} == {}


def test_each_attempt_succeeds_without_the_sandbox(outside: Attempts) -> None:
    """Else its failure inside would prove nothing."""
    assert {name for name, why in outside.forbidden.items() if why} == set(REFUSED_BY_THE_LAB)


def test_a_call_that_the_lab_refuses_everybody_is_not_in_the_filter_either(lab: Lab) -> None:
    allowed = set(properties(lab, UNIT)["SystemCallFilter"].split())
    assert "read" in allowed
    assert not any(name.startswith("~") for name in allowed), "a list of what is allowed, not of what is not"
    for group in REFUSED_BY_THE_LAB.values():
        listed = lab.inside(NODE, f"systemd-analyze syscall-filter {group}") if group[0] == "@" else group
        calls = set(re.findall(r"^\s*([a-z0-9_]+)$", listed, re.MULTILINE))
        assert calls
        assert calls & allowed == set()


def test_the_attempts_run_under_the_very_properties_of_the_running_service(
    lab: Lab, inside: Attempts
) -> None:
    ours, probe = properties(lab, UNIT), properties(lab, PROBE)
    assert ours["NeedDaemonReload"] == "no"
    names = {line.partition("=")[0] for line in sandbox_lines(lab)} & set(ours)
    assert len(names) > 30
    assert {name: probe[name] for name in names} == {name: ours[name] for name in names}


def test_no_process_of_the_service_has_a_capability_or_can_get_one(lab: Lab) -> None:
    group = properties(lab, UNIT)["ControlGroup"]
    script = f"for pid in $(cat /sys/fs/cgroup{group}/cgroup.procs); do cat /proc/$pid/status; done"
    status = lab.inside(NODE, script)
    found = {
        key: set(re.findall(rf"^{key}:\t(.*)$", status, re.MULTILINE))
        for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
    }
    nothing = {"0" * 16}
    assert found == {
        "CapInh": nothing, "CapPrm": nothing, "CapEff": nothing, "CapBnd": nothing, "CapAmb": nothing,
        "NoNewPrivs": {"1"}, "Seccomp": {"2"},
    }  # fmt: skip
    users = set(re.findall(r"^[UG]id:\t(.*)$", status, re.MULTILINE))
    assert len(re.findall(r"^Name:", status, re.MULTILINE)) >= 3, "supervisor, workers, courier"
    assert "0" not in " ".join(users).split()


def test_systemd_finds_little_to_complain_of(lab: Lab) -> None:
    said = guests.run(NODE, ["systemd-analyze", "security", "--no-pager", UNIT]).stdout.decode()
    (exposure,) = re.findall(r"Overall exposure level for mxd.service: ([0-9.]+)", said)
    assert float(exposure) <= 2.0, said
