"""Shows 2 and 3 of receiving: what is found out about mail from elsewhere, what becomes of it, and who is told."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mxfleet.lab.letters import IMAP_PORT, PEER_USER, Post, compose, new_token
from mxfleet.lab.verdicts import Authentication, authentication, fields
from tests.lab.running import Lab
from tests.lab.sending import Answer, send

SERVICE, STANDBY = "10.77.0.10", "mx3"
STANDBY4 = "10.77.0.13"
PEER, OFFICE, LISTED = "10.77.0.100", "10.77.0.110", "10.77.0.66"
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


def mailbox(post: Post, token: str) -> bytes:
    """The message as it lies in alice's mailbox."""
    user = {"user": "alice@corp.test", "password": post.passwords["alice@corp.test"]}
    raw = post.ask("office", "imap", host="127.0.0.1", port=IMAP_PORT, token=token, **user)["message"]
    assert raw, f"no {token} in the mailbox"
    octets: bytes = raw.encode("latin-1")
    return octets


def ours(raw: bytes) -> Authentication:
    found = authentication(raw, "mx.corp.test")
    assert found is not None
    return found


def traced(lab: Lab, answer: Answer, event: str) -> dict[str, Any]:
    """The message's line of that kind in `mxfleet trace`."""
    done = lab.mxfleet("trace", answer.trace, "--json", "--since", "-1h")
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [line for line in json.loads(done.stdout) if line["event"] == event]
    return dict(line)


def letter(token: str, author: str = PEER_USER) -> bytes:
    return compose(author, "alice@corp.test", token).encode()


class Signed:
    """A letter that the peer has signed: once as it arrived, and its octets as the peer sent them."""

    def __init__(self, post: Post) -> None:
        self.token = new_token()
        peer = {"host": "127.0.0.1", "port": 25, "helo": "localhost", "sender": PEER_USER}
        text = compose(PEER_USER, "alice@corp.test", self.token)
        sent = post.ask("world", "send", recipient="alice@corp.test", message=text, **peer)
        assert sent["code"] == 250, sent
        self.arrived = mailbox(post, self.token)
        self.octets = self.arrived[self.arrived.index(b"DKIM-Signature:") :]

    def again(self) -> tuple[str, bytes]:
        """The same octets under the same Message-ID, for that is signed: its token, and they."""
        return self.token, self.octets


@pytest.fixture(scope="module")
def signed(post: Post) -> Signed:
    return Signed(post)


# ── Show 2 ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_peers_signed_mail_passes_and_header_and_trace_say_so(lab: Lab, signed: Signed) -> None:
    found = ours(signed.arrived)
    assert {method: found.results(method) for method in ("iprev", "spf", "dkim", "dmarc")} == dict.fromkeys(
        ("iprev", "spf", "dkim", "dmarc"), ("pass",)
    )
    assert fields(signed.arrived, "Received-SPF")[0].startswith("pass ")
    done = lab.mxfleet("trace", f"{signed.token}@peer.test")
    assert "found: iprev pass, spf pass, dkim pass peer.test, dmarc pass peer.test, rspamd " in done.stdout


def test_from_a_wrong_address_the_signature_still_proves_the_author(
    lab: Lab, post: Post, signed: Signed
) -> None:
    token, octets = signed.again()
    answer = send("office", octets, SERVICE, OFFICE)
    assert answer.code == 250, answer
    found = ours(mailbox(post, token))
    assert [found.results(method) for method in ("spf", "dkim", "dmarc")] == [("fail",), ("pass",), ("pass",)]
    line = traced(lab, answer, "accepted")
    assert (line["spf"], line["dkim"], line["dmarc"]) == ("fail", ["pass peer.test"], "pass peer.test")


def test_one_octet_of_the_body_changed_breaks_the_signature(lab: Lab, post: Post, signed: Signed) -> None:
    token, octets = signed.again()
    changed = octets.replace(b"from mxfleet mail check.", b"from mxfleet mail Check.")
    assert changed != octets
    answer = send("world", changed, SERVICE, PEER)  # its own address still proves the author (RFC 9989 §4.4)
    assert answer.code == 250, answer
    found = ours(mailbox(post, token))
    assert [found.results(method) for method in ("spf", "dkim", "dmarc")] == [("pass",), ("fail",), ("pass",)]
    answer = send("office", changed, SERVICE, OFFICE)
    refused(lab, answer, "peer.test", {"spf": "fail", "dkim": ["fail peer.test"], "dmarc": "fail peer.test"})


@pytest.mark.parametrize("author", ["mallory@peer.test", "bob@corp.test"])
def test_a_forged_from_is_refused_as_the_author_s_domain_asks(lab: Lab, signed: Signed, author: str) -> None:
    forged = signed.octets.replace(b"From: <carol@peer.test>", f"From: <{author}>".encode())
    assert forged != signed.octets
    domain = author.partition("@")[2]
    answer = send("office", forged, SERVICE, OFFICE)
    refused(lab, answer, domain, {"spf": "fail", "dkim": ["fail peer.test"], "dmarc": f"fail {domain}"})


def refused(lab: Lab, answer: Answer, domain: str, verdicts: dict[str, Any]) -> None:
    """Refused at the final dot because of DMARC, and the trace says what of."""
    assert (answer.command, answer.code) == ("DATA", 550), answer
    asks = f"5.7.26 DMARC: {domain} asks to refuse mail in its name that neither SPF nor DKIM proves to be its own"
    assert answer.text.startswith(asks)
    line = traced(lab, answer, "refused")
    assert {name: line[name] for name in verdicts} == verdicts
    assert line["reply"].startswith("550 5.7.26 ")


def test_verdicts_forged_in_our_name_are_removed_and_others_stay(post: Post) -> None:
    token = new_token()
    lies = (
        b"Authentication-Results: mx.corp.test; spf=pass smtp.mailfrom=bank.test; dkim=pass header.d=bank.test\r\n"
        b"Authentication-Results: mail.bank.test; dkim=pass header.d=bank.test\r\n"
        b"X-Spam: no, -100\r\nReceived-SPF: pass (mx.corp.test: it is true) receiver=mx.corp.test;\r\n"
    )
    answer = send("world", lies + letter(token), SERVICE, PEER)
    assert answer.code == 250, answer
    raw = mailbox(post, token)
    found = fields(raw, "Authentication-Results")
    assert [text.partition(";")[0] for text in found] == ["mx.corp.test", "mail.bank.test"]
    assert "bank.test" not in found[0]
    assert fields(raw, "X-Spam") == []
    assert len(fields(raw, "Received-SPF")) == 1


def test_a_listed_address_is_refused_at_rcpt(lab: Lab) -> None:
    lab.inside("office", f"ip address add {LISTED}/24 dev eth0")
    try:
        answer = send("office", letter(new_token()), SERVICE, LISTED)
    finally:
        lab.inside("office", f"ip address del {LISTED}/24 dev eth0")
    assert (answer.command, answer.code) == ("RCPT", 550), answer
    assert answer.text.startswith(f"5.7.1 {LISTED} is listed by dnsbl.test: ")


# ── Show 3 ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_rspamd_refuses_what_every_spam_filter_refuses(lab: Lab) -> None:
    answer = send("world", letter(new_token()) + GTUBE + b"\r\n", SERVICE, PEER)
    assert (answer.command, answer.code) == ("DATA", 550), answer
    assert answer.text.startswith("5.7.1 Gtube pattern ")
    line = traced(lab, answer, "refused")
    assert (line["dmarc"], line["rspamd"], line["symbols"]) == ("pass peer.test", "reject 15.0", ["GTUBE"])


@contextmanager
def without_rspamd(lab: Lab) -> Iterator[None]:
    """The standby without its rspamd while the context lasts."""
    lab.inside(STANDBY, "systemctl stop rspamd")
    try:
        yield
    finally:
        lab.inside(STANDBY, "systemctl start rspamd")


def said(lab: Lab, words: str, since: float) -> int:
    """How often the standby's exchange has said so."""
    text = lab.inside(STANDBY, f"journalctl -q -o cat -u mxd --since=@{since:.3f}")
    return sum(words in line for line in text.splitlines())


def to_standby(token: str) -> Answer:
    return send("world", letter(token), STANDBY4, PEER)


def test_without_rspamd_mail_is_taken_and_the_journal_says_so_once(lab: Lab, post: Post) -> None:
    since = time.time()
    with without_rspamd(lab):
        tokens = [new_token() for _ in range(6)]
        answers = [to_standby(token) for token in tokens]
        assert [answer.code for answer in answers] == 6 * [250], answers
        assert traced(lab, answers[0], "accepted")["rspamd"] == "unreachable 0.0"
        assert ours(mailbox(post, tokens[0])).results("dmarc") == ("pass",)
        assert said(lab, "rspamd does not answer", since) == 1

    def is_back() -> bool:
        assert to_standby(new_token()).code == 250
        return said(lab, "rspamd answers again", since) == 1

    lab.until("all processes have seen that rspamd is back", is_back)
    assert "no action" in traced(lab, to_standby(new_token()), "accepted")["rspamd"]
    assert said(lab, "rspamd does not answer", since) == 1
    assert said(lab, "rspamd answers again", since) == 1


def test_where_the_fleet_says_defer_mail_waits_for_rspamd(lab: Lab) -> None:
    path = "/etc/mxfleet/mxd.toml"
    lab.inside(
        STANDBY,
        f"cp -p {path} /root/mxd.toml; sed -i 's/^unreachable = .*/unreachable = \"defer\"/' {path}; systemctl restart mxd",
    )
    try:
        lab.healthy(STANDBY)
        with without_rspamd(lab):
            answer = to_standby(new_token())
    finally:
        lab.inside(STANDBY, f"mv /root/mxd.toml {path}; systemctl restart mxd")
        lab.healthy(STANDBY)
    assert (answer.command, answer.code) == ("DATA", 451), answer
    assert answer.text.startswith("4.3.0 The content scanner does not answer, try again later")
