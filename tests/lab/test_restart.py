"""`systemctl restart mxd` while the peer knocks and sends: nobody is refused or cut off, nothing is lost or doubled."""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mxfleet.lab import guests
from tests.lab.running import Lab

NODE = "mx3"
SCRIPT = Path(__file__).with_name("knocking.py")
RESTARTS, PAUSE = 3, 0.05
WAIT = 30.0
"""Seconds within which everybody must have been greeted; a restart takes about two on a quiet machine."""
MAILBOXES = "/var/mail/office"


@contextmanager
def knocking(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """`world` at work while the context lasts; the value is filled when it ends."""
    told: dict[str, Any] = {}
    words = guests.enter("world", ["python3", "-c", SCRIPT.read_text()])
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdin
        client.stdin.write(json.dumps(job) + "\n")
        client.stdin.flush()
        try:
            yield told
        finally:
            output, _ = client.communicate(timeout=120)
            told.update(json.loads(output))


def arrivals(lab: Lab, tokens: list[str]) -> Counter[str]:
    """How often each message lies in a mailbox of the office."""
    found = lab.inside("office", f"grep -rhoE '^Subject: [0-9a-f]{{24}}' {MAILBOXES} || true")
    return Counter(line.split()[1] for line in found.splitlines() if line.split()[1] in tokens)


def test_restarts_under_load_refuse_nobody_and_lose_nothing(lab: Lab) -> None:
    node = next(node for node in lab.fleet.nodes if node.name == NODE)
    hosts = [str(address) for address in node.addresses]
    job = {
        "knock": [[host, port, port == 465] for host in hosts for port in (25, 25, 465)],
        "send": [[host, 25] for host in hosts],
        "sender": "carol@peer.test", "recipient": "alice@corp.test", "pause": PAUSE,
    }  # fmt: skip
    with knocking(job) as told:
        for _ in range(RESTARTS):
            time.sleep(0.5)
            lab.inside(NODE, "systemctl restart mxd")
        lab.healthy(NODE)
        time.sleep(0.5)
    assert told["wrong"] == {}
    assert {greeting.split()[-1] for greeting in told["greetings"]} == {"220"}
    assert len(told["greetings"]) == 4, "both ports on both families"
    assert told["longest"] < WAIT
    tokens = told["acknowledged"]
    assert len(tokens) > RESTARTS
    lab.until("all have arrived", lambda: set(arrivals(lab, tokens)) == set(tokens), 60)
    assert {token: count for token, count in arrivals(lab, tokens).items() if count != 1} == {}
