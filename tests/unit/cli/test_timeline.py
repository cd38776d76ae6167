"""The life of a message in words."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mxfleet.cli import timeline, trace

LINES: dict[str, list[dict[str, Any]]] = {
    "mx1": [
        {"event": "accepted", "trace": "t1", "time": "2026-11-24T09:00:00.000+00:00", "client": "10.0.0.9",
         "sender": "a@corp.test", "recipients": ["c@peer.test"], "size": 12, "submitter": "a@corp.test"},
        {"event": "failed", "trace": "t1", "time": "2026-11-24T09:00:03.000+00:00", "recipient": "c@peer.test",
         "host": "mx.peer.test", "address": "192.0.2.9", "tls": "TLSv1.3", "reply": "550 5.1.1 who?", "attempt": 2},
        {"event": "bounced", "trace": "t1", "time": "2026-11-24T09:00:04.000+00:00", "bounce": "t2"},
    ],
    "mx2": [
        {"event": "deferred", "trace": "t1", "time": "2026-11-24T09:00:01.000+00:00", "recipient": "c@peer.test",
         "host": "mx.peer.test", "address": "192.0.2.9", "tls": "", "reply": "451 4.4.2 No answer in time",
         "attempt": 1, "next": 1795510803.0, "doubtful": True},
        {"event": "delivered", "trace": "t2", "time": "2026-11-24T09:00:05.000+00:00", "recipient": "a@corp.test",
         "host": "office", "address": "192.0.2.7", "tls": "", "reply": "250 2.0.0 kept", "attempt": 1},
    ],
}  # fmt: skip


def test_events_of_all_nodes_are_one_story_in_order_of_time() -> None:
    found = []
    for node, lines in LINES.items():
        found += timeline.events(node, "Started mxd.\n" + "\n".join(map(json.dumps, lines)))
    told = timeline.told(found)
    assert [line for line in told if not line.startswith(" ")] == ["t1", "t2"]
    words = [line.split("  ", 3)[-1].strip() for line in told if line.startswith(" ")]
    assert words[0] == "accepted from 10.0.0.9 by a@corp.test: <a@corp.test> to <c@peer.test>, 12 octets"
    assert words[1].startswith(
        "<c@peer.test> must wait at mx.peer.test [192.0.2.9, without TLS], attempt 1: 451 4.4.2 No answer in time"
        " (its answer was not seen: it may arrive twice); tried again at "
    )
    assert (
        words[2]
        == "given up for <c@peer.test> at mx.peer.test [192.0.2.9, TLSv1.3, verified by nobody], attempt 2: 550 5.1.1 who?"
    )
    assert words[3] == "its sender is told, by t2"


HOST = {"recipient": "c@b.test", "host": "mx.b.test", "attempt": 1, "reply": "250 2.0.0 kept"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"event": "delivered", "address": "192.0.2.9", "tls": "TLSv1.3", "cipher": "TLS_A", "policy": "DANE",
             "verified": "TLSA 3 1 1 of mx.b.test", "stage": "message"},
            ("delivered to <c@b.test> at mx.b.test [192.0.2.9, TLSv1.3 with TLS_A, required by DANE, "
            "verified by TLSA 3 1 1 of mx.b.test], attempt 1: 250 2.0.0 kept"),
        ),
        (
            {"event": "deferred", "address": "192.0.2.9", "stage": "greeting", "reply": "451 4.4.1 No connection"},
            "<c@b.test> must wait at mx.b.test [192.0.2.9], attempt 1: 451 4.4.1 No connection; tried again later",
        ),
        (
            {"event": "deferred", "stage": "greeting", "reply": "451 4.4.3 Nobody knows", "policy": "DANE"},
            "<c@b.test> must wait at mx.b.test, attempt 1: 451 4.4.3 Nobody knows; tried again later",
        ),
        (
            {"event": "TLS failed, trying without", "address": "192.0.2.9", "reason": "the handshake failed"},
            ("TLS with mx.b.test [192.0.2.9] failed: the handshake failed; tried again without TLS, "
            "which nothing there requires"),
        ),
        (
            {"event": "would be refused", "policy": "MTA-STS testing", "reason": "certificate has expired"},
            ("MTA-STS testing would have kept it from mx.b.test: certificate has expired; delivered all the same, "
            "for the policy is only being tried out"),
        ),
        (
            {"event": "interrupted", "recipients": ["c@b.test"], "doubtful": True},
            "the node went down while it was being sent to <c@b.test>: it is sent again, and may arrive twice",
        ),
        (
            {"event": "interrupted", "recipients": ["c@b.test"]},
            "the node went down while it was being sent to <c@b.test>: it is sent again",
        ),
        (
            {"event": "abandoned behind the final dot"},
            "the exchange was stopped before the answer to the whole message came: it may arrive twice",
        ),
    ],
)  # fmt: skip
def test_what_became_of_tls_and_of_an_answer_is_told(fields: dict[str, Any], words: str) -> None:
    assert timeline.sentence(HOST | fields) == words


def test_the_script_finds_all_lines_of_what_one_word_leads_to_and_of_its_bounce(tmp_path: Path) -> None:
    lines = [json.dumps(line, separators=(",", ":")) for part in LINES.values() for line in part]
    lines.append('{"event":"accepted","trace":"t9","sender":"other@x.test"}')
    (tmp_path / "log").write_text("\n".join(lines) + "\n")
    journalctl = tmp_path / "journalctl"
    journalctl.write_text(f"#!/bin/sh\ncat {tmp_path}/log\n")
    journalctl.chmod(0o755)
    for word, count in (("t1", 5), ("c@peer.test", 5), ("other@x.test", 1), ("nobody", 0)):
        script = trace.SCRIPT.format(word=word, since="-7d", most=10)
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        done = subprocess.run(
            ["sh", "-s"], input=script, capture_output=True, text=True, check=True, env=environment
        )
        assert len(done.stdout.splitlines()) == count, word


def test_what_was_found_out_is_told() -> None:
    found = {"spf": "fail", "dkim": ["fail peer.test"], "dmarc": "fail peer.test", "rspamd": "add header 7.1"}
    refused = {"event": "refused", "client": "10.77.0.110", "reply": "550 5.7.26 no", "reason": "DMARC: no"}
    assert timeline.sentence(refused | found) == (
        "refused 10.77.0.110: 550 5.7.26 no; found: spf fail, dkim fail peer.test, dmarc fail peer.test, "
        "rspamd add header 7.1; DMARC: no"
    )
    assert timeline.sentence(
        {"event": "refused", "client": "::1", "reply": "550 5.1.1 no", "dkim": []}
    ).endswith("found: dkim none")
    assert (
        timeline.sentence({"event": "refused", "client": "::1", "reply": "550 5.1.1 no"})
        == "refused ::1: 550 5.1.1 no"
    )
