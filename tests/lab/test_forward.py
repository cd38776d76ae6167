"""Show 4: what sales@shop.test forwards passes SPF and DKIM at the peer, and its bounce comes back to the sender."""

import re

import pytest

from mxfleet.lab import verdicts
from mxfleet.lab.letters import PEER_HOST, PEER_MAILDIR, Post, compose, new_token

FORWARD, DAVE = "sales@shop.test", "dave@peer.test"
DAVES_MAILDIR = PEER_MAILDIR.replace("carol", "dave")


def by_the_peer(post: Post, sender: str, recipient: str, message: str) -> str:
    """Sent through the peer's own Postfix, which signs and finds the MX; the reply."""
    return str(
        post.ask(
            "world",
            "send",
            host="127.0.0.1",
            port=25,
            helo="localhost",
            sender=sender,
            recipient=recipient,
            message=message,
        )["reply"]
    )


def at_the_peer(post: Post, token: str, maildir: str) -> bytes:
    found = post.ask("world", "maildir", maildir=maildir, token=token, wait=60.0)["message"]
    assert found, f"{token}: not in {maildir}"
    return str(found).encode("latin-1")


@pytest.fixture(scope="module")
def forwarded(post: Post) -> bytes:
    """A message from dave, whom the peer signs for, that came to carol through the forward."""
    token = new_token()
    assert by_the_peer(post, DAVE, FORWARD, compose(DAVE, FORWARD, token)).startswith("250 ")
    return at_the_peer(post, token, PEER_MAILDIR)


def test_a_forward_passes_spf_by_our_reverse_path_and_dkim_by_the_author_s_signature(
    forwarded: bytes,
) -> None:
    found = verdicts.authentication(forwarded, PEER_HOST)
    assert found is not None
    assert found.results("spf") == ("pass",), found.text
    assert "pass" in found.results("dkim"), found.text
    assert re.fullmatch(r"SRS0=[A-Z2-7]{6}=[A-Z2-7]{2}=peer\.test=dave@corp\.test", reverse_path(forwarded))


def test_a_forward_is_sealed(forwarded: bytes) -> None:
    assert re.search(rb"^ARC-Seal: i=1; a=rsa-sha256; cv=none; d=corp\.test;", forwarded, re.MULTILINE)
    assert re.search(rb"^ARC-Authentication-Results: i=1;\s+mx\.corp\.test;", forwarded, re.MULTILINE)
    found = verdicts.authentication(forwarded, PEER_HOST)
    assert found is not None
    assert set(found.results("arc")) <= {"pass"}, found.text  # of the peer's rspamd, where it says


def test_the_bounce_of_a_forward_comes_back_to_the_original_sender(post: Post, forwarded: bytes) -> None:
    token = new_token()
    message = compose("mailer-daemon@peer.test", reverse_path(forwarded), token)
    assert by_the_peer(post, "", reverse_path(forwarded), message).startswith("250 ")
    back = at_the_peer(post, token, DAVES_MAILDIR)
    assert reverse_path(back) == ""
    assert b"for <dave@peer.test>" in back


def reverse_path(raw: bytes) -> str:
    found = re.search(rb"^Return-Path: <(.*)>", raw, re.MULTILINE)
    assert found, raw[:500]
    return found[1].decode()
