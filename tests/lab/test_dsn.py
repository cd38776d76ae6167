"""Show 3: who sent what could not be delivered gets one report that programs can read; a forged sender gets none."""

import email
import email.policy
import json
import time
from email.message import EmailMessage

from mxfleet.lab import guests
from mxfleet.lab.letters import IMAP_PORT, PEER_MAILDIR, Post, compose, new_token
from tests.lab.running import Lab


def parsed(raw: str) -> EmailMessage:
    found = email.message_from_bytes(raw.encode("latin-1"), policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def statuses(report: EmailMessage) -> list[tuple[str, str, str]]:
    """RFC 3464: action, status and recipient of each group of the machine-readable part."""
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    part = list(report.iter_parts())[1]
    assert part.get_content_type() == "message/delivery-status"
    groups = list(part.iter_parts())[1:]
    return [(str(g["Action"]), str(g["Status"]), str(g["Final-Recipient"])) for g in groups]


def inbox(post: Post, token: str, wait: float) -> str:
    """The message of alice's that refers to ours, out of her mailbox."""
    return str(
        post.ask(
            "office",
            "imap",
            host="127.0.0.1",
            port=IMAP_PORT,
            user=post.user,
            password=post.passwords[post.user],
            token=token,
            header="References",
            wait=wait,
        )["message"]
    )


def test_an_unknown_recipient_of_the_peer_is_reported_once_to_who_sent_it(post: Post) -> None:
    token = new_token()
    sent = post.ask(
        "office",
        "send",
        host=post.fleet.submission_hostname,
        port=587,
        authority=post.authority_pem,
        password=post.passwords[post.user],
        sender=post.user,
        recipient="nobody@peer.test",
        message=compose(post.user, "nobody@peer.test", token),
    )
    assert sent["code"] == 250, sent
    report = parsed(inbox(post, token, 60.0))
    assert statuses(report) == [("failed", "5.1.1", "rfc822; nobody@peer.test")]
    assert report["Auto-Submitted"] == "auto-replied"
    assert inbox(post, token, 2.0) == "", "a second report"


def test_a_forward_that_fails_is_reported_to_a_sender_who_passes(post: Post) -> None:
    token = new_token()
    sent = post.ask(
        "world", "send", host="127.0.0.1", port=25, helo="localhost", sender="dave@peer.test",
        recipient="lost@shop.test", message=compose("dave@peer.test", "lost@shop.test", token),
    )  # fmt: skip
    assert sent["code"] == 250, sent
    raw = post.ask("world", "maildir", maildir=PEER_MAILDIR.replace("carol", "dave"), token=token, wait=60.0)[
        "message"
    ]
    assert statuses(parsed(raw)) == [("failed", "5.1.1", "rfc822; nobody@peer.test")]


def test_a_forged_sender_is_told_nothing_and_the_log_says_why(lab: Lab, post: Post) -> None:
    """Nobody answers for the domain: neither SPF nor DKIM nor DMARC, so it is taken and nobody is told."""
    token = new_token()
    sent = post.ask(
        "office", "send", host="10.77.0.10", port=25, helo="office.corp.test", sender="victim@unknown.test",
        recipient="lost@shop.test", message=compose("victim@unknown.test", "lost@shop.test", token),
    )  # fmt: skip
    assert sent["code"] == 250, sent
    trace = str(sent["reply"]).rpartition(" ")[2]
    said = told(lab, trace)
    assert said["sender"] == "victim@unknown.test"
    assert "may be forged" in str(said["reason"])


def told(lab: Lab, trace: str) -> dict[str, object]:
    """The line about nobody being told, from whichever node it was."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for node in lab.fleet.nodes:
            command = ["journalctl", "-u", "mxd", "-o", "cat", "--since", "-10min", "-g", "nobody is told"]
            for line in guests.run(node.name, command).stdout.decode().splitlines():
                if trace in line:
                    found: dict[str, object] = json.loads(line)
                    return found
        time.sleep(0.5)
    raise AssertionError(f"{trace}: no word of it in the log")
