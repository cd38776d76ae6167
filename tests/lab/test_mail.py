"""Show 1 and 4: mail both ways, and what the exchange says to strangers, users and forgers."""

import json
import re
import secrets

import pytest

from mxfleet.lab import guests
from mxfleet.lab.letters import IMAP_PORT, Post
from tests.lab.running import Lab

SERVICE = "10.77.0.10"
OPTIONS = ("--timeout", "10", "--body", "swaks was here", "--auth-hide-password")


def swaks(*words: str, password: str = "") -> str:
    """What swaks says in `world`; a password comes by standard input, as everywhere."""
    script = 'read -r SWAKS_OPT_auth_password; export SWAKS_OPT_auth_password; exec swaks "$@" 2>&1'
    unset = 'exec swaks "$@" 2>&1'
    command = ["sh", "-c", script if password else unset, "sh", *words, *OPTIONS]
    return guests.run("world", command, input=f"{password}\n".encode()).stdout.decode()


def answers(dialogue: str, command: str) -> list[str]:
    """The reply lines to a command in swaks' dialogue, with or without TLS: ` -> EHLO x`, `<-  250 …`, `<** 550 …`."""
    found, current = [], ""
    for line in dialogue.splitlines():
        if sent := re.match(r" [-~]> (.*)", line):
            current = sent[1]
        elif (told := re.match(r"<[-~*]+ +(.*)", line)) and current.upper().startswith(command):
            found.append(told[1])
    return found


def test_mail_check_is_content_with_both_ways_and_with_the_forgery(lab: Lab) -> None:
    done = lab.mxfleet("mail", "check", "--json")
    told = json.loads(done.stdout)
    assert {letter["name"]: letter["problems"] for letter in told["letters"]} == {
        "to_peer": [],
        "from_peer": [],
        "forged": [],
    }
    assert (done.returncode, told["passed"]) == (0, True)


def test_a_message_from_outside_is_accepted_and_lands_in_dovecot(post: Post) -> None:
    token = f"mxfleet-{secrets.token_hex(8)}"
    dialogue = swaks(
        "--server", SERVICE, "--port", "25", "--from", "carol@peer.test", "--to", "alice@corp.test",
        "--header", f"Message-Id: <{token}@peer.test>",
    )  # fmt: skip
    assert answers(dialogue, ".")[-1].startswith("250 "), dialogue
    mailbox = {"user": "alice@corp.test", "password": post.passwords["alice@corp.test"], "token": token}
    raw = post.ask("office", "imap", host="127.0.0.1", port=IMAP_PORT, **mailbox)["message"]
    assert "swaks was here" in raw


def test_a_recipient_that_does_not_exist_is_refused_at_rcpt() -> None:
    dialogue = swaks("--server", SERVICE, "--from", "carol@peer.test", "--to", "nobody@corp.test")
    assert [reply[:9] for reply in answers(dialogue, "RCPT TO")] == ["550 5.1.1"], dialogue
    assert answers(dialogue, "DATA") == []


def test_nothing_is_relayed() -> None:
    dialogue = swaks("--server", SERVICE, "--from", "carol@peer.test", "--to", "x@elsewhere.test")
    (reply,) = answers(dialogue, "RCPT TO")
    assert re.match(r"55[04] 5\.7\.1 ", reply), dialogue


@pytest.mark.parametrize("port", ["25", "587"])
def test_no_auth_is_offered_in_the_clear(port: str) -> None:
    dialogue = swaks("--server", SERVICE, "--port", port, "--quit-after", "EHLO")
    offered = " ".join(answers(dialogue, "EHLO"))
    assert "STARTTLS" in offered, dialogue
    assert "AUTH" not in offered


def test_submission_with_starttls_offers_auth() -> None:
    dialogue = swaks("--server", SERVICE, "--port", "587", "--tls", "--quit-after", "EHLO")
    assert re.search(r"250[- ]AUTH .*PLAIN", dialogue), dialogue


def test_submission_over_implicit_tls_works(post: Post) -> None:
    dialogue = swaks(
        "--server", SERVICE, "--port", "465", "--tls-on-connect", "--auth", "PLAIN",
        "--auth-user", "alice@corp.test", "--from", "alice@corp.test", "--to", "bob@corp.test",
        password=post.passwords["alice@corp.test"],
    )  # fmt: skip
    assert answers(dialogue, ".")[-1].startswith("250 "), dialogue


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_wrong_password_is_refused(mechanism: str) -> None:
    dialogue = swaks(
        "--server", SERVICE, "--port", "587", "--tls", "--auth", mechanism, "--auth-user", "alice@corp.test",
        "--from", "alice@corp.test", "--to", "bob@corp.test", password="wrong",
    )  # fmt: skip
    assert [reply[:9] for reply in answers(dialogue, "") if reply[0] == "5"] == ["535 5.7.8"], dialogue


def test_a_user_cannot_send_as_another(post: Post) -> None:
    dialogue = swaks(
        "--server", SERVICE, "--port", "587", "--tls", "--auth", "PLAIN", "--auth-user", "alice@corp.test",
        "--from", "bob@corp.test", "--to", "carol@peer.test", password=post.passwords["alice@corp.test"],
    )  # fmt: skip
    assert re.match(r"55\d 5\.7\.\d ", answers(dialogue, "MAIL FROM")[-1]), dialogue


def test_submission_without_auth_is_refused() -> None:
    dialogue = swaks(
        "--server", SERVICE, "--port", "587", "--tls", "--from", "alice@corp.test", "--to", "bob@corp.test"
    )
    assert answers(dialogue, "MAIL FROM")[-1].startswith("530 5.7.0 "), dialogue
