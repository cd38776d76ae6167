"""Issue 4, Must hold: a node without power in the middle of deliveries loses nothing, and says what may arrive twice."""

import json
import re

from mxfleet.lab.letters import Post, compose, new_token
from tests.lab.running import Lab

LETTERS = 12
MAILDIR = "/var/mail/peer/dave/Maildir"
GONE = 120  # seconds for booting, claiming anew and delivering


def test_nothing_is_lost_and_what_came_twice_had_no_answer(lab: Lab, post: Post) -> None:
    node = lab.roll_order()[0]
    lab.inside("world", f"rm -rf {MAILDIR}")
    hosts = lab.inside("office", "cat /etc/hosts")
    lab.inside(
        "world",
        "postconf -e smtpd_delay_reject=yes 'smtpd_end_of_data_restrictions=sleep 15'; postfix reload",
    )
    try:
        lab.inside(
            "office", f"echo {lab.fleet.node(node).address4} {lab.fleet.submission_hostname} >> /etc/hosts"
        )
        tokens = [submit(lab, post) for _ in range(LETTERS)]
        lab.until("deliveries are under way", lambda: under_way(lab, node) >= 3, 60)
        with lab.powered_off(node):
            before = arrived(lab)
        assert before < LETTERS, "it was too quick to be cut off"
    finally:
        lab.inside("office", "cat > /etc/hosts", hosts.encode())
        lab.inside("world", "postconf -X smtpd_end_of_data_restrictions smtpd_delay_reject; postfix reload")
    lab.until("all have arrived", lambda: waiting(lab, node) == 0, GONE)
    copies = {token: count(lab, token) for token in tokens}
    assert min(copies.values()) >= 1, copies
    assert max(copies.values()) <= 2, copies
    twice = [token for token, times in copies.items() if times > 1]
    told = interrupted(lab, node)
    assert told
    assert {traces(lab, token) for token in twice} <= told, (twice, told)
    if twice:
        story = lab.mxfleet("trace", traces(lab, twice[0])).stdout
        assert "the node went down while it was being sent to <dave@peer.test>" in story
    assert doubtful(lab, node) >= len(told)


def doubtful(lab: Lab, node: str) -> float:
    """Recipients who may get a message twice, as the node counts them since it is back."""
    ask = r"exec 3<>/dev/tcp/127.0.0.1/8025; printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3; cat <&3"
    found = re.search(r"^mxd_doubtful_total ([0-9.]+)", lab.inside(node, f'bash -c "{ask}"'), re.MULTILINE)
    assert found
    return float(found[1])


def submit(lab: Lab, post: Post) -> str:
    """A letter to the peer; its token."""
    token = new_token()
    letter = post.ask(
        "office", "send", host=lab.fleet.submission_hostname, port=587, authority=post.authority_pem, password=post.passwords["alice@corp.test"], sender="alice@corp.test",
        recipient="dave@peer.test", message=compose("alice@corp.test", "dave@peer.test", token),
    )  # fmt: skip
    assert letter["code"] == 250, letter
    return token


def arrived(lab: Lab) -> int:
    return int(lab.inside("world", f"find {MAILDIR}/new {MAILDIR}/cur -type f 2>/dev/null | wc -l"))


def count(lab: Lab, token: str) -> int:
    return int(lab.inside("world", f"grep -rlF -- {token} {MAILDIR}/new 2>/dev/null | wc -l"))


def under_way(lab: Lab, node: str) -> int:
    """Deliveries that the peer has in hand: it thinks about each for a while behind the final dot."""
    items = json.loads(lab.inside(node, "mxd queue list --json"))
    return len([item for item in items if item["domain"] == "peer.test" and item["leased"]])


def waiting(lab: Lab, node: str) -> int:
    return len(
        [i for i in json.loads(lab.inside(node, "mxd queue list --json")) if i["domain"] == "peer.test"]
    )


def log(lab: Lab, node: str, event: str) -> list[dict[str, str]]:
    text = lab.inside(node, "journalctl --quiet --no-pager --output=cat --unit=mxd.service --boot")
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def interrupted(lab: Lab, node: str) -> set[str]:
    return {line["trace"] for line in log(lab, node, "interrupted")}


def traces(lab: Lab, token: str) -> str:
    """The trace id of a letter, by its Message-ID."""
    return lab.mxfleet("trace", token).stdout.splitlines()[0]
