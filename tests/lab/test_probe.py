"""Issue 4, Build 8: `mxfleet probe` tells refused, filtered and intercepted apart, and what TLS policies say."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lab.running import Lab

LOOSE = "10.77.0.128"
TABLE = "probe_test"


def probe(lab: Lab, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and what was found; the first node asks."""
    done = lab.mxfleet("probe", *words, "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@contextmanager
def rule(lab: Lab, hook: str, rule: str) -> Iterator[None]:
    """A rule of `world`'s kernel for what comes in."""
    kind = "nat" if hook == "prerouting" else "filter"
    lab.inside(
        "world",
        f"nft add table ip {TABLE}; nft 'add chain ip {TABLE} c {{ type {kind} hook {hook} priority -110; }}';"
        f" nft add rule ip {TABLE} c {rule}",
    )
    try:
        yield
    finally:
        lab.inside("world", f"nft delete table ip {TABLE}")


def test_a_good_host_is_told_with_its_dialogue_tls_and_dane(lab: Lab) -> None:
    done = lab.mxfleet("probe", "mx.peer.test", "--to", "carol@peer.test")
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "> STARTTLS",
        "> RCPT TO:<carol@peer.test>",
        "DANE: the certificate is the published one (TLSA of mx.peer.test)",
        "MTA-STS of peer.test: enforce, for mx.peer.test",
        "good: the recipient is taken, with TLSv1.3",
        "next: mxfleet queue list --domain peer.test",
    ):
        assert words in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("domain", "word"),
    [
        ("pinned", "DANE fails"),
        ("strict", "MTA-STS fails"),
        ("garbled", "TLS fails"),
        ("busy", "refused for now"),
    ],
)
def test_what_keeps_mail_from_a_host_is_named(lab: Lab, domain: str, word: str) -> None:
    code, found = probe(lab, f"{domain}.peer.test", "--to", f"carol@{domain}.peer.test")
    assert (code, found["verdict"]["word"]) == (1, word), found


def test_a_port_that_is_refused(lab: Lab) -> None:
    with rule(lab, "input", f"ip daddr {LOOSE} tcp dport 25 reject with tcp reset"):
        code, found = probe(lab, "mx.loose.peer.test")
    assert (code, found["verdict"]["word"]) == (1, "refused")
    assert "--from ANOTHER-NODE" in found["verdict"]["next"]


def test_a_port_that_is_dropped_on_the_way_to_a_host_that_is_there(lab: Lab) -> None:
    with rule(lab, "input", f"ip daddr {LOOSE} tcp dport 25 drop"):
        code, found = probe(lab, "mx.loose.peer.test")
    assert (code, found["verdict"]["word"]) == (1, "filtered")
    assert "although the host is there (port" in found["verdict"]["sentence"]


def test_a_host_whose_cable_is_pulled_is_unreachable(lab: Lab) -> None:
    try:
        assert lab.mxfleet("lab", "cut", "office").returncode == 0
        for (
            node
        ) in lab.fleet.nodes:  # who spoke with it a moment ago would believe in it for longer than we wait
            lab.inside(node.name, "ip neigh flush to 10.77.0.110")
        code, found = probe(lab, "10.77.0.110:24")
    finally:
        assert lab.mxfleet("lab", "heal", "office").returncode == 0
    assert (code, found["verdict"]["word"]) == (1, "unreachable")
    assert "No route to host" in found["verdict"]["sentence"]


def test_somebody_else_who_answers_in_its_place(lab: Lab) -> None:
    with rule(lab, "prerouting", f"ip daddr {LOOSE} tcp dport 25 dnat to 10.77.0.122"):
        code, found = probe(lab, "mx.loose.peer.test")
    assert (code, found["verdict"]["word"]) == (1, "intercepted")
    assert found["verdict"]["sentence"].startswith("mx.firm.peer.test answers at 10.77.0.128")


def test_the_packets_are_the_probe_s_own_and_stay_on_the_node(lab: Lab) -> None:
    node = lab.fleet.nodes[0]
    code, found = probe(lab, "mx.loose.peer.test", "--capture", "--from", node.name)
    assert code == 0
    (port,) = {tried["source"].rpartition(":")[2] for tried in found["tried"][:1]}
    packets = lab.inside(node.name, f"tcpdump -Z root -nr {found['capture']} 2>/dev/null").splitlines()
    assert packets
    assert any(f".{port} > {LOOSE}.25" in line for line in packets)
    owner = lab.inside(node.name, f"stat -c '%a %U' {found['capture']}; rm -f {found['capture']}").strip()
    assert owner == "600 root"
