"""Three letters, with the guests' postmen played by a function."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mxfleet.cli.mail import check_fleet, told
from mxfleet.errors import LabError
from mxfleet.fleet.load import load_file
from mxfleet.lab.letters import PEER_MAILDIR, Post, check, compose

ROOT = Path(__file__).resolve().parents[3]
FLEET = load_file(ROOT / "inventories" / "lab.py")
OUT = """Authentication-Results: mx.peer.test; spf=pass smtp.mailfrom=alice@corp.test;
 dkim=pass header.d=corp.test header.s=r1; dkim=pass header.d=corp.test header.s=e1; dmarc=pass header.from=corp.test
Received: from office by mx2.corp.test with ESMTPSA id T1; Tue, 24 Nov 2026 08:00:00 +0000
Subject: x

text
"""
IN = """Authentication-Results: mx.corp.test; iprev=pass policy.iprev=10.77.0.100; spf=pass smtp.mailfrom=peer.test;
 dkim=pass header.d=peer.test; dmarc=pass header.from=peer.test
Received: from mx.peer.test by mx1.corp.test with ESMTPS id T2; Tue, 24 Nov 2026 08:00:00 +0000

text
"""
FORGED = "Authentication-Results: mx.peer.test; spf=fail; dmarc=fail header.from=corp.test\n\ntext\n"


class Guests:
    """Answers each job as a healthy lab would, except where `changed` says otherwise."""

    def __init__(self, **changed: dict[str, Any]) -> None:
        self.changed = changed
        self.commands: list[list[str]] = []

    def __call__(self, guest: str, command: list[str], standard_input: bytes) -> bytes:
        self.commands.append(command)
        job = json.loads(standard_input)
        name = self.name(guest, job)
        scan = {
            "milter": {
                "add_headers": {"Authentication-Results": {"value": "w; dkim=pass header.d=peer.test"}}
            }
        }
        answers: dict[str, dict[str, Any]] = {
            "submit": {"code": 250, "reply": "250 2.0.0 accepted as T1"},
            "forge": {"code": 250, "reply": "250 2.0.0 queued"},
            "inject": {"code": 250, "reply": "250 2.0.0 queued"},
            "maildir": {"message": FORGED if self.forging(job) else OUT},
            "imap": {"message": IN},
            "scan": {"answer": scan},
        }
        return json.dumps(self.changed.get(name, answers[name])).encode()

    def name(self, guest: str, job: dict[str, Any]) -> str:
        if job["do"] != "send":
            return str(job["do"])
        if guest == "world":
            return "inject"
        if job["port"] == 587:
            return "submit"
        self.forged_token = next(line for line in job["message"].split("\r\n") if line.startswith("Subject"))
        return "forge"

    def forging(self, job: dict[str, Any]) -> bool:
        return job["do"] == "maildir" and job["token"] in getattr(self, "forged_token", "")


def letters(guests: Guests) -> dict[str, tuple[str, ...]]:
    post = Post(FLEET, "-----CA-----", {"alice@corp.test": "swordfish"}, guests)
    return {letter.name: letter.problems for letter in check(post)}


def test_a_healthy_lab_has_no_problem() -> None:
    assert letters(Guests()) == {"to_peer": (), "from_peer": (), "forged": ()}


def test_no_password_stands_in_a_command() -> None:
    guests = Guests()
    letters(guests)
    assert guests.commands
    assert not any("swordfish" in word for command in guests.commands for word in command)


def test_each_letter_fails_alone_with_what_the_other_side_said() -> None:
    refused = Guests(submit={"code": 535, "reply": "535 5.7.8 wrong"})
    assert letters(refused) == {
        "to_peer": ("submission refused: 535 5.7.8 wrong",),
        "from_peer": (),
        "forged": (),
    }


def test_what_goes_wrong_in_a_guest_is_a_problem_and_no_traceback() -> None:
    broken = Guests(imap={"error": "ConnectionRefusedError: [Errno 111] Connection refused"})
    assert letters(broken)["from_peer"] == (
        "office: imap: ConnectionRefusedError: [Errno 111] Connection refused",
    )


def test_a_message_lost_on_the_way_is_said_to_be_so() -> None:
    assert letters(Guests(imap={"message": ""}))["from_peer"] == (
        "not in the mailbox of alice@corp.test after 8 s",
    )


def test_the_trace_must_be_the_one_that_the_reply_named() -> None:
    other = Guests(submit={"code": 250, "reply": "250 2.0.0 accepted as OTHER"})
    assert letters(other)["to_peer"] == (
        "the trace id T1 is not the one that the reply named: 250 2.0.0 accepted as OTHER",
    )


def test_our_own_exchange_must_know_the_peer() -> None:
    assert letters(Guests(imap={"message": IN.replace("dkim=pass", "dkim=fail")}))["from_peer"] == (
        "dkim=fail at our exchange, not pass, for peer.test",
    )
    assert letters(Guests(imap={"message": IN.replace("mx.corp.test; i", "elsewhere.test; i")}))[
        "from_peer"
    ] == ("our exchange wrote no Authentication-Results",)


def test_a_fleet_without_evidence_owes_no_verdict() -> None:
    blind = replace(FLEET, policy=replace(FLEET.policy, evidence=False, dns_lists=()))
    post = Post(blind, "", {"alice@corp.test": "x"}, Guests(imap={"message": IN[IN.index("Received") :]}))
    assert {letter.name: letter.problems for letter in check(post)}["from_peer"] == ()


def test_a_fleet_without_accounts_is_told_what_is_missing() -> None:
    post = Post(replace(FLEET, accounts=()), "", {}, Guests())
    problems = {letter.name: letter.problems for letter in check(post)}
    assert "has no account" in problems["to_peer"][0]


def test_the_message_has_what_breaks_easily() -> None:
    text = compose("alice@corp.test", "carol@peer.test", "t1")
    assert "\r\n.a line" in text
    assert "end   \r\n" in text
    assert "Grüße" in text
    assert PEER_MAILDIR.endswith("Maildir")


def test_a_letter_is_told_in_a_few_lines() -> None:
    post = Post(FLEET, "-----CA-----", {"alice@corp.test": "swordfish"}, Guests())
    to_peer = check(post)[0]
    lines = told(to_peer)
    assert lines[0].startswith("to the peer: alice@corp.test → carol@peer.test")
    assert lines[1] == "  reply    250 2.0.0 accepted as T1"
    assert lines[2].startswith("  verdict  Authentication-Results: mx.peer.test; spf=pass")
    assert lines[3] == "  trace    T1 at mx2.corp.test"
    assert lines[4].startswith("  ok, ")


def test_a_production_fleet_has_no_other_side_to_ask_and_is_told_what_to_do() -> None:
    with pytest.raises(LabError, match="is no laboratory") as refused:
        check_fleet(load_file(ROOT / "inventories" / "example.py"))
    assert "Authentication-Results" in refused.value.hint
