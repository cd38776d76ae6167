"""Shows 2 and 3: keys change while mail flows, and no message ever fails to verify; lost keys are left at once."""

import re
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import pytest

from mxfleet.keys.ledger import read_state
from mxfleet.keys.state import KeyView
from mxfleet.lab import guests
from mxfleet.lab.letters import Post
from tests.lab.rotating import Held, Mail, holding, keys, killed, stale_secondary, state_of
from tests.lab.running import ROOT, Lab

LIFETIME, DRAIN, MARGIN = 40, 45, 10
"""Seconds, where production has days: how long mail waits at the most, and how long before its end it is let go."""
PERIODS = (
    "policy=replace(_LAB.policy, "
    f"retry=replace(_LAB.policy.retry, first=2, longest=2, lifetime={LIFETIME}), "
    f"keys=replace(_LAB.policy.keys, drain={DRAIN}, revoked=5))"
)
ALGORITHMS = ("rsa", "ed25519")
SLOW = 240
"""Seconds that a busy machine may take for what takes ten."""


@pytest.fixture
def rested(lab: Lab) -> Lab:
    """Every domain signs with both algorithms and has a spare of each, and nothing is under way."""

    def rests() -> bool:
        lab.mxfleet("tend")
        state = read_state(ROOT / lab.fleet.state_directory)
        lines = [
            [str(k.state) for k in keys(lab, d, a)] for d in ("corp.test", "shop.test") for a in ALGORITHMS
        ]
        spares = all(line.count("standby") == 1 and line.count("active") == 1 for line in lines)
        return spares and not state.wishes and not state.called()

    lab.until("all keys rest", rests, SLOW)
    return lab


@pytest.fixture
def quick(rested: Lab, variant: Callable[[str], Path]) -> Path:
    """The lab with a queue lifetime and a drain of half a minute, deployed; as it was, afterwards."""
    inventory = variant(PERIODS)
    rested.deploy("--fleet", str(inventory))
    return inventory


def spare(lab: Lab, owner: str, algorithm: str) -> KeyView:
    return next(key for key in keys(lab, owner, algorithm) if str(key.state) == "standby")


def signing(lab: Lab, owner: str, algorithm: str) -> KeyView:
    signers = read_state(ROOT / lab.fleet.state_directory).signers()
    return next(key for key in signers if (key.owner, key.algorithm) == (owner, algorithm))


def loaded(lab: Lab, node: str) -> str:
    """What the service on a node says that it signs with."""
    return lab.inside(node, "/opt/mxfleet/current/venv/bin/mxd signing")


def test_a_whole_rotation_while_mail_flows_and_some_waits_and_every_command_dies(
    lab: Lab, post: Post, quick: Path
) -> None:
    old = {algorithm: signing(lab, "corp.test", algorithm) for algorithm in ALGORITHMS}
    new = {algorithm: spare(lab, "corp.test", algorithm) for algorithm in ALGORITHMS}
    mail = Mail(post)
    try:
        with holding(lab) as held, mail.flowing():
            late = through(lab, quick, mail, held, new)
            lab.until("the late letters arrived", lambda: mail.arrived(*late.values()), SLOW)
            lab.until("the old keys are gone", lambda: gone(lab, quick, old), SLOW)
        lab.until("all mail arrived", mail.arrived, SLOW)
    finally:
        lab.deploy()
    assert mail.unverified() == []
    assert len(mail.unsent) <= len(mail.sent) / 10
    assert mail.selectors(mail.sent[0]) == {key.label for key in old.values()}
    assert mail.selectors(mail.sent[-1]) == {key.label for key in new.values()}
    for algorithm, token in late.items():  # signed with the key that was being left
        assert old[algorithm].label in mail.selectors(token)


def through(lab: Lab, inventory: Path, mail: Mail, held: Held, new: dict[str, KeyView]) -> dict[str, str]:
    """From the wish to two new keys that sign; two of three commands are killed, after a line or amid a deploy.

    Algorithm → token of a letter that is held back while that key changes, until its time is nearly over.
    """
    late: dict[str, str] = {}
    assert lab.mxfleet("dkim", "rotate", "corp.test", "--fleet", str(inventory)).returncode in (0, 2)
    ways = cycle(["ledger", "deploy", ""])
    deaths = dict.fromkeys(("ledger", "deploy"), 0)
    end = time.monotonic() + 2 * SLOW
    while {state_of(lab, key) for key in new.values()} != {"active"}:
        assert time.monotonic() < end, {key.label: state_of(lab, key) for key in new.values()}
        for algorithm, key in new.items():
            if state_of(lab, key) == "ready" and algorithm not in late:
                late[algorithm] = mail.send(held.hold(f"carol+{algorithm}@peer.test", LIFETIME - MARGIN))
        if way := next(ways):
            deaths[way] += killed(inventory, way)
        else:
            lab.mxfleet("tend", "--fleet", str(inventory))
    assert deaths["ledger"] >= 3
    assert deaths["deploy"] >= 2
    return late


def gone(lab: Lab, inventory: Path, old: dict[str, KeyView]) -> bool:
    lab.mxfleet("tend", "--fleet", str(inventory))
    return all(state_of(lab, key) == "removed" for key in old.values())


def test_a_secondary_held_stale_stops_new_keys_at_published_and_is_named_with_its_serial(rested: Lab) -> None:
    lab, lost = rested, spare(rested, "shop.test", "rsa")
    with stale_secondary(lab) as address:
        done = lab.mxfleet("dkim", "compromise", lost.label)  # no node has the spare: only DNS is concerned
        assert done.returncode == 0, done.stdout + done.stderr
        assert lab.mxfleet("dkim", "rotate", "shop.test", "--wait", "8").returncode == 2
        new = keys(lab, "shop.test", "rsa")[-1]
        assert state_of(lab, new) == "published"
        told = lab.mxfleet("dkim", "status").stdout
        soa = ["dig", "+short", f"@{address}", "shop.test", "SOA"]
        serial = guests.run("office", soa, check=True).stdout.decode().split()[2]
        line = next(line for line in told.splitlines() if new.label in line)
        assert f"ns2.test ({address}) does not have it, its zone has serial {serial}" in line
        assert new.label not in loaded(lab, "mx1")
    lab.until(
        "it is visible", lambda: lab.mxfleet("tend").returncode != 1 and state_of(lab, new) != "published"
    )


DRIFTED = "/etc/systemd/journald.conf.d/50-mxfleet.conf"
"""What somebody changes by hand, meanwhile: no deploy may be made for the sake of keys then."""


@pytest.fixture
def drifting(rested: Lab) -> Iterator[Callable[[str], None]]:
    """Changes a node by hand; mended afterwards."""

    def change(node: str) -> None:
        rested.inside(node, f"echo '# by hand' >>{DRIFTED}")

    yield change
    rested.deploy()


def test_without_a_node_the_old_key_stays_and_a_lost_one_is_left_by_all_others_at_once(
    rested: Lab, drifting: Callable[[str], None]
) -> None:
    lab, old, new = rested, signing(rested, "shop.test", "rsa"), spare(rested, "shop.test", "rsa")
    dead = lab.roll_order()[0]
    others = [node.name for node in lab.fleet.nodes if node.name != dead]
    with lab.powered_off(dead):
        lab.mxfleet("dkim", "rotate", "shop.test")
        assert lab.mxfleet("tend").returncode == 2
        assert f"{dead} cannot be asked" in lab.mxfleet("dkim", "status").stdout
        assert signing(lab, "shop.test", "rsa") == old
        assert all(old.label in loaded(lab, node) for node in others)

        drifting(others[0])
        done = lab.mxfleet("dkim", "compromise", old.label)
        assert done.returncode == 2, done.stdout + done.stderr
        assert f"! mail signed with {old.label} of shop.test that is still on its way loses" in done.stdout
        assert f"shop.test: {old.label} → {new.label}\n" in done.stdout
        assert re.search(rf"^{', '.join(others)} left it at once \(", done.stdout, re.MULTILINE), done.stdout
        assert f"! {dead} cannot be asked (" in done.stdout
        for node in others:
            assert old.label not in loaded(lab, node)
            assert new.label in loaded(lab, node)
        left = lab.mxfleet("drift", "--exclude", dead).stdout.splitlines()[:-1]
        assert left == [f"{others[0]}: file {DRIFTED}: content differs"]
    assert old.label in loaded(lab, dead)
    lab.until(
        "the node follows",
        lambda: lab.mxfleet("tend").returncode != 1 and new.label in loaded(lab, dead),
        SLOW,
    )
    assert old.label not in loaded(lab, dead)
