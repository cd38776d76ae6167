"""Mail between our fleet and the other guests: three letters, each told with what the other side said of it."""

import json
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from mxfleet.errors import LabError
from mxfleet.fleet import Fleet
from mxfleet.lab import verdicts
from mxfleet.lab.plan import PEER_DOMAIN, WORLD4

PEER_HOST = f"mx.{PEER_DOMAIN}"
PEER_USER = f"carol@{PEER_DOMAIN}"
PEER_MAILDIR = "/var/mail/peer/carol/Maildir"
PEER_SCANNER = "http://127.0.0.1:11333/checkv2"
IMAP_PORT = 143
WAIT = 8
"""Seconds that one letter may take; a healthy fleet needs about one."""
POSTMAN = Path(__file__).with_name("postman.py")

RunInGuest = Callable[[str, list[str], bytes], bytes]
"""(guest, command, standard input) -> standard output; raises LabError where the command fails."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What became of one message: `problems` is empty where all is well; times in seconds."""

    name: str
    sender: str
    recipient: str
    way: str
    problems: tuple[str, ...]
    reply: str = ""
    authentication_results: str = ""
    node: str = ""
    trace: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Post:
    """The guests' postmen, with what they need to know of the fleet; `passwords` maps address to password."""

    fleet: Fleet
    authority_pem: str
    passwords: dict[str, str]
    run: RunInGuest
    script: str = field(default_factory=POSTMAN.read_text)

    @property
    def user(self) -> str:
        """Who submits and receives in the checks: the first account of the fleet."""
        if not self.fleet.accounts:
            raise LabError(
                f"fleet {self.fleet.name!r} has no account to send with", hint="add an Account(...)"
            )
        return self.fleet.accounts[0].address

    @property
    def domain(self) -> str:
        """The user's domain."""
        return self.user.rpartition("@")[2]

    @property
    def hostnames(self) -> tuple[str, ...]:
        """The names under which our hosts write Received fields."""
        fleet = self.fleet
        names = [fleet.mx_hostname, fleet.submission_hostname, *(node.hostname for node in fleet.nodes)]
        return tuple(name for name in names if name)

    def ask(self, guest: str, doing: str, **job: Any) -> dict[str, Any]:  # noqa: ANN401  (JSON)
        """Have the guest's postman do one job; raises LabError with what went wrong there."""
        words = json.dumps({"do": doing, "wait": WAIT, **job}).encode()
        result: dict[str, Any] = json.loads(self.run(guest, ["python3", "-c", self.script], words))
        if "error" in result:
            raise LabError(f"{guest}: {doing}: {result['error']}")
        return result


def check(post: Post) -> tuple[Letter, ...]:
    """All three letters at once: to the peer, from the peer, and a forged one."""
    with ThreadPoolExecutor(3) as pool:
        return tuple(pool.map(lambda letter: _told(letter, post), (to_peer, from_peer, forged)))


def _told(letter: Callable[[Post], Letter], post: Post) -> Letter:
    begun = time.monotonic()
    try:
        done = letter(post)
    except LabError as error:
        way = (letter.__doc__ or "").partition(":")[0]
        done = Letter(letter.__name__, "", "", way, (str(error),))
    return replace(done, seconds=round(time.monotonic() - begun, 2))


def to_peer(post: Post) -> Letter:
    """The way out: submitted in the office with STARTTLS and AUTH, read from the peer's Maildir."""
    token = new_token()
    sent = post.ask(
        "office",
        "send",
        host=post.fleet.submission_hostname,
        port=587,
        authority=post.authority_pem,
        password=post.passwords[post.user],
        sender=post.user,
        recipient=PEER_USER,
        message=compose(post.user, PEER_USER, token),
    )
    way = f"office, {post.fleet.submission_hostname}:587, {PEER_HOST}, Maildir"
    letter = Letter("to_peer", post.user, PEER_USER, way, (), sent["reply"])
    if sent["code"] != 250:
        return _with(letter, problems=(f"submission refused: {sent['reply']}",))
    raw = post.ask("world", "maildir", maildir=PEER_MAILDIR, token=token)["message"].encode("latin-1")
    if not raw:
        return _with(letter, problems=(f"accepted, but not in the peer's Maildir after {WAIT} s",))
    found = verdicts.authentication(raw)
    node, trace = verdicts.trace_of(raw, post.hostnames)
    problems = [*verdicts.outbound_problems(found, post.domain), *_trace_problems(trace, sent["reply"])]
    return _with(letter, problems=tuple(problems), found=found, node=node, trace=trace)


def from_peer(post: Post) -> Letter:
    """The way in: sent by the peer's Postfix to the MX that DNS names, read back from Dovecot by IMAP."""
    token = new_token()
    sent = post.ask(
        "world",
        "send",
        host="127.0.0.1",
        port=25,
        helo="localhost",
        sender=PEER_USER,
        recipient=post.user,
        message=compose(PEER_USER, post.user, token),
    )
    letter = Letter("from_peer", PEER_USER, post.user, f"{PEER_HOST}, MX of {post.domain}, Dovecot, IMAP", ())
    if sent["code"] != 250:
        return _with(letter, problems=(f"the peer's own Postfix refused it: {sent['reply']}",))
    secret = post.passwords[post.user]
    mailbox = {"host": "127.0.0.1", "port": IMAP_PORT, "user": post.user, "password": secret, "token": token}
    raw = post.ask("office", "imap", **mailbox)["message"].encode("latin-1")
    if not raw:
        return _with(letter, problems=(f"not in the mailbox of {post.user} after {WAIT} s",))
    found, scan = None, scanned(post, raw, PEER_USER, post.user, str(WORLD4), PEER_HOST)
    node, trace = verdicts.trace_of(raw, post.hostnames)
    problems = [*verdicts.inbound_problems(scan, PEER_DOMAIN), *_trace_problems(trace, "")]
    if post.fleet.policy.evidence:
        found = verdicts.authentication(raw, post.fleet.mx_hostname)
        problems += verdicts.border_problems(found, PEER_DOMAIN)
    return _with(letter, problems=tuple(problems), found=found or scan, node=node, trace=trace)


def forged(post: Post) -> Letter:
    """A forgery: from the office straight to the peer in our name, unsigned; the peer must see it."""
    token = new_token()
    sent = post.ask(
        "office",
        "send",
        host=str(WORLD4),
        port=25,
        helo="office.corp.test",
        sender=post.user,
        recipient=PEER_USER,
        message=compose(post.user, PEER_USER, token),
    )
    letter = Letter("forged", post.user, PEER_USER, f"office, {PEER_HOST}, past the fleet", (), sent["reply"])
    found = None
    if sent["code"] == 250:
        raw = post.ask("world", "maildir", maildir=PEER_MAILDIR, token=token)["message"].encode("latin-1")
        found = verdicts.authentication(raw)
    return _with(letter, problems=tuple(verdicts.forged_problems(found, sent["reply"])), found=found)


def scanned(
    post: Post, raw: bytes, sender: str, recipient: str, ip: str, helo: str
) -> verdicts.Authentication | None:
    """The verdict of the peer's rspamd on a message as it lies in our mailbox, with its original envelope."""
    envelope = {"sender": sender, "recipient": recipient, "ip": ip, "helo": helo}
    message = raw.decode("latin-1")
    answer = post.ask("world", "scan", url=PEER_SCANNER, message=message, **envelope)["answer"]
    added = answer.get("milter", {}).get("add_headers", {}).get("Authentication-Results")
    if added is None:
        return None
    first = added[0] if isinstance(added, list) else added
    return verdicts.parse_authentication(first["value"] if isinstance(first, dict) else first)


def compose(sender: str, recipient: str, token: str) -> str:
    """A message with what breaks easily on the way: 8-bit text, a line that begins with a dot, spaces at an end."""
    domain = sender.rpartition("@")[2]
    return "\r\n".join(
        [
            f"From: <{sender}>",
            f"To: <{recipient}>",
            f"Subject: mxfleet mail check {token}",
            f"Date: {format_datetime(datetime.now(UTC))}",
            f"Message-ID: <{token}@{domain}>",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: 8bit",
            "",
            "Grüße from mxfleet mail check.",
            ".a line that begins with a dot",
            "spaces at the end   ",
            "",
        ]
    )


def new_token() -> str:
    """A word that occurs in no other message."""
    return f"mxfleet-{secrets.token_hex(8)}"


def _trace_problems(trace: str, reply: str) -> list[str]:
    if not trace:
        return ["no Received field of ours with a trace id"]
    if reply and trace not in reply:
        return [f"the trace id {trace} is not the one that the reply named: {reply}"]
    return []


def _with(letter: Letter, found: verdicts.Authentication | None = None, **changes: Any) -> Letter:  # noqa: ANN401
    return replace(letter, authentication_results=found.text if found else "", **changes)
