"""Issue 4, Shows 1 and 2: to peers of every kind each message ends as the RFCs say, and `trace` tells it in words."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from mxfleet.lab.letters import Post, compose, new_token
from tests.lab.running import Lab

CASES = (
    "peer", "sts", "busy", "firm", "grey", "drops", "garbled", "pinned", "strict", "loose", "twofold", "trial",
)  # fmt: skip


@dataclass
class Sent:
    """One letter of alice's on its way: the token is in its Message-ID."""

    lab: Lab
    trace: str
    token: str
    recipient: str

    def told(self) -> str:
        """`mxfleet trace`, as an administrator reads it."""
        return self.lab.mxfleet("trace", self.trace).stdout

    def story(self, *ends: str) -> str:
        """The same, once it has come to one of these words."""
        seen: list[str] = []

        def ended() -> bool:
            seen.append(self.told())
            return any(end in seen[-1] for end in ends)

        self.lab.until(f"{self.recipient}: {' or '.join(ends)}", ended, 90)
        return seen[-1]

    def kept(self) -> int:
        """How many copies the difficult host has."""
        host = "mx." + self.recipient.rpartition("@")[2]
        found = self.lab.inside(
            "world", f"grep -rlF -- {self.token} /var/mail/difficult/{host} 2>/dev/null | wc -l"
        )
        return int(found)


def send(lab: Lab, post: Post, recipient: str) -> Sent:
    """Alice submits a letter."""
    token = new_token()
    letter = post.ask(
        "office", "send",
        host=lab.fleet.submission_hostname, port=587, authority=post.authority_pem,
        password=post.passwords["alice@corp.test"], sender="alice@corp.test", recipient=recipient,
        message=compose("alice@corp.test", recipient, token),
    )  # fmt: skip
    assert letter["code"] == 250, letter
    return Sent(lab, letter["reply"].split()[-1], token, recipient)


@pytest.fixture(scope="module")
def sent(lab: Lab, post: Post) -> Iterator[dict[str, Sent]]:
    """A letter to each kind of peer, all at once; what still waits afterwards is deleted."""
    lab.inside("world", "rm -rf /var/mail/difficult/*")
    domains = {case: "peer.test" if case == "peer" else f"{case}.peer.test" for case in CASES}
    who = {"grey": f"c{new_token()[-8:]}"}  # nobody whom it has seen before
    letters = {
        case: send(lab, post, f"{who.get(case, 'carol')}@{domain}") for case, domain in domains.items()
    }
    yield letters
    for letter in letters.values():
        lab.mxfleet("queue", "delete", "--trace", letter.trace)


def postfix_log(lab: Lab) -> str:
    return lab.inside("world", "journalctl --quiet --no-pager --output=cat --unit=postfix.service -n 2000")


def peers_log(lab: Lab, host: str) -> list[dict[str, str]]:
    """What the difficult host has written down."""
    text = lab.inside(
        "world", "journalctl --quiet --no-pager --output=cat --unit=mxlab-peers.service -n 5000"
    )
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if line["host"] == host]


def test_dane_is_kept_and_postfix_agrees(sent: dict[str, Sent], lab: Lab) -> None:
    story = sent["peer"].story("delivered to <carol@peer.test>")
    assert re.search(
        r"delivered to <carol@peer\.test> at mx\.peer\.test \[(10\.77\.0\.100|fd77:77::100), TLSv1\.3 with TLS_\w+, "
        r"required by DANE, verified by TLSA 3 1 1 of mx\.peer\.test\], attempt 1: 250 2\.0\.0 Ok",
        story,
    ), story
    assert_postfix_agrees(lab, sent["peer"], story)


def test_mta_sts_is_kept_and_postfix_agrees(sent: dict[str, Sent], lab: Lab) -> None:
    story = sent["sts"].story("delivered to <carol@sts.peer.test>")
    assert "required by MTA-STS enforce, verified by a trusted authority, for relay.peer.test]" in story
    assert_postfix_agrees(lab, sent["sts"], story)


def assert_postfix_agrees(lab: Lab, letter: Sent, story: str) -> None:
    """Postfix logs the same message under its own id, received over TLS, and that id is in our trace."""
    log = postfix_log(lab)
    (queue_id,) = re.findall(rf"(\w+): message-id=<{letter.token}@corp\.test>", log)
    assert f"queued as {queue_id}" in story
    assert f"{queue_id}: to=<{letter.recipient}>" in log
    (client,) = re.findall(rf"{queue_id}: client=(mx\d\.corp\.test\[\S+\])", log)
    assert re.search(rf"TLS connection established from {re.escape(client)}: TLSv1\.3", log), log


def test_a_busy_host_is_tried_again_and_named_with_its_words(sent: dict[str, Sent], lab: Lab) -> None:
    story = sent["busy"].story("attempt 2")
    assert "451 4.3.2 We are too busy today, come back later; tried again at" in story
    assert "<carol@busy.peer.test> must wait at mx.busy.peer.test [10.77.0.121" in story
    replies = [line for line in peers_log(lab, "mx.busy.peer.test") if line["event"] == "recipient"]
    assert len(replies) >= 2
    assert {line["client"] for line in replies} <= {str(node.address4) for node in lab.fleet.nodes}


def test_a_refusal_for_good_ends_it_and_the_sender_is_told(sent: dict[str, Sent]) -> None:
    story = sent["firm"].story("its sender is told, by")
    assert "given up for <carol@firm.peer.test> at mx.firm.peer.test" in story
    assert "550 5.7.1 We do not want mail from you" in story
    assert "attempt 2" not in story


def test_greylisting_is_waited_out(sent: dict[str, Sent]) -> None:
    story = sent["grey"].story(f"delivered to <{sent['grey'].recipient}>")
    assert "451 4.7.1 Greylisted, try again in 3 seconds; tried again at" in story
    assert sent["grey"].kept() == 1


def test_an_answer_that_was_not_seen_is_told_as_what_it_is(sent: dict[str, Sent], lab: Lab) -> None:
    story = sent["drops"].story("delivered to <carol@drops.peer.test>")
    assert "(its answer was not seen: it may arrive twice)" in story
    assert sent["drops"].kept() == 2 == 1 + story.count("it may arrive twice")
    events = [
        line["event"] for line in peers_log(lab, "mx.drops.peer.test") if sent["drops"].token in str(line)
    ]
    assert events == ["kept, and gone without an answer", "kept"]


def test_a_broken_starttls_keeps_nobody_from_mail_that_needs_no_tls(sent: dict[str, Sent]) -> None:
    story = sent["garbled"].story("delivered to <carol@garbled.peer.test>")
    assert "TLS with mx.garbled.peer.test [10.77.0.125] failed:" in story
    assert "tried again without TLS, which nothing there requires" in story
    assert "[10.77.0.125, without TLS], attempt 1: 250" in story


def test_a_wrong_certificate_under_dane_gets_nothing(sent: dict[str, Sent]) -> None:
    story = sent["pinned"].story("attempt 2")
    assert (
        "450 4.7.5 DANE requires its certificate to be the published one, and mx.pinned.peer.test does not have it: "
        "no record matches the host's certificate (1 TLSA records of mx.pinned.peer.test)"
    ) in story
    assert sent["pinned"].kept() == 0


def test_a_wrong_certificate_under_mta_sts_gets_nothing(sent: dict[str, Sent]) -> None:
    story = sent["strict"].story("attempt 2")
    assert (
        "450 4.7.5 MTA-STS enforce requires a certificate for mx.strict.peer.test of a trusted authority, and "
        "mx.strict.peer.test does not have it: its certificate is not believed: Hostname mismatch"
    ) in story
    assert sent["strict"].kept() == 0


def test_a_wrong_certificate_under_neither_is_better_than_none(sent: dict[str, Sent]) -> None:
    story = sent["loose"].story("delivered to <carol@loose.peer.test>")
    assert re.search(
        r"\[10\.77\.0\.128, TLSv1\.3 with TLS_\w+, verified by nobody\], attempt 1: 250", story
    ), story


def test_mta_sts_that_is_only_tried_out_delivers_and_says_what_would_have_been(sent: dict[str, Sent]) -> None:
    story = sent["trial"].story("delivered to <carol@trial.peer.test>")
    assert "MTA-STS testing would have kept it from mx.trial.peer.test:" in story
    assert "Hostname mismatch" in story
    assert "delivered all the same" in story


def test_a_dead_address_of_a_host_costs_no_attempt(sent: dict[str, Sent]) -> None:
    """Its IPv6 address is nobody's: the IPv4 one answers a moment later, within the same attempt."""
    story = sent["twofold"].story("delivered to <carol@twofold.peer.test>")
    assert re.search(r"at mx\.twofold\.peer\.test \[10\.77\.0\.129, .*\], attempt 1: 250", story), story


def test_mail_leaves_from_the_node_s_own_address_under_its_own_name(sent: dict[str, Sent], lab: Lab) -> None:
    sent["loose"].story("delivered to <carol@loose.peer.test>")
    said = {
        (line["client"], line["line"])
        for line in peers_log(lab, "mx.loose.peer.test")
        if line["event"] == "hello"
    }
    assert said
    assert said <= {(str(node.address4), f"EHLO {node.hostname}") for node in lab.fleet.nodes}


def test_the_queue_of_a_peer_that_is_cut_off_is_told_by_reason_and_drains_when_it_is_back(
    lab: Lab, post: Post
) -> None:
    hosts = lab.inside("office", "cat /etc/hosts")  # the DNS is beyond the cut, too
    try:
        lab.inside("office", f"echo {lab.service[0]} {lab.fleet.submission_hostname} >> /etc/hosts")
        assert lab.mxfleet("lab", "cut", "world").returncode == 0
        letters = [send(lab, post, "dave@peer.test") for _ in range(3)]
        node = letters[0].trace.rpartition("-")[2]

        def summary() -> dict[str, dict[str, object]]:
            said = json.loads(lab.mxfleet("queue", "summary", "--json").stdout)["nodes"][node]
            return {domain["domain"]: domain for domain in said["domains"]}

        def tried() -> bool:
            waiting = summary().get("peer.test")
            return waiting is not None and bool(waiting["reasons"]) and not waiting["leased"]

        lab.until("all three have been tried", tried, 60)
        waiting = summary()["peer.test"]
        assert waiting["deliveries"] == 3
        assert isinstance(waiting["oldest"], float)
        assert isinstance(waiting["next_due"], float)
        text = lab.mxfleet("queue", "summary").stdout
        assert re.search(r"peer\.test +3  oldest \d+ s(, \d+ under way)?, next in \d+ s", text), text
        assert re.search(r"\d+  451 4\.4\.\d ", text), text
    finally:
        assert lab.mxfleet("lab", "heal").returncode == 0
        lab.inside("office", "cat > /etc/hosts", hosts.encode())
    lab.until(
        "the DNS answers again", lambda: bool(lab.inside(node, "getent hosts mx.peer.test || true")), 150
    )
    assert lab.mxfleet("queue", "retry", "--domain", "peer.test").returncode == 0
    for letter in letters:
        letter.story("delivered to <dave@peer.test>")
    assert "peer.test" not in summary()
