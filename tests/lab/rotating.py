"""What the rotation is proved with: mail that flows all the while, mail that is held back, a stale server, a dying command."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mxfleet.errors import LabError
from mxfleet.keys.ledger import LEDGER, read_state
from mxfleet.keys.state import KeyView
from mxfleet.lab import guests, network
from mxfleet.lab.letters import PEER_MAILDIR, PEER_USER, Post, compose, new_token
from mxfleet.lab.plan import PREFIX
from mxfleet.lab.verdicts import Authentication, authentication
from tests.lab.running import ROOT, SCRIPTS, Lab

TAKE = """
import json, pathlib, sys
found = []
for path in [p for name in ("new", "cur") for p in (pathlib.Path(sys.argv[1]) / name).glob("*")]:
    raw = path.read_bytes()
    if sys.argv[2].encode() in raw:
        found.append(raw.decode("latin-1"))
        path.unlink()
json.dump(found, sys.stdout)
"""
"""Takes the messages that hold a word out of a Maildir."""


class Mail:
    """Letters to the peer, each known by its token; those that arrived with the verdict of the peer's verifier."""

    def __init__(self, post: Post) -> None:
        self.post = post
        self.run = new_token()
        self.sent: list[str] = []
        self.unsent: list[str] = []
        self.verdicts: dict[str, Authentication] = {}
        self.sending = threading.Lock()

    def send(self, recipient: str = PEER_USER) -> str:
        """Submit one as a user would; its token."""
        with self.sending:
            token = f"{self.run}-{len(self.sent) + len(self.unsent):04}"
            taken = self._submit(recipient, token)
            (self.sent if taken else self.unsent).append(token)
        return token

    def _submit(self, recipient: str, token: str) -> bool:
        """Whether it was accepted; a session that ends with the process that had it is tried again by any client."""
        user = self.post.user
        try:
            said = self.post.ask(
                "office", "send", host=self.post.fleet.submission_hostname, port=587,
                authority=self.post.authority_pem, password=self.post.passwords[user], sender=user,
                recipient=recipient, message=compose(user, recipient, token),
            )  # fmt: skip
        except LabError:
            return False
        return bool(said["code"] == 250)

    def collect(self) -> None:
        """Take what has arrived."""
        command = ["python3", "-c", TAKE, PEER_MAILDIR, self.run]
        for text in json.loads(guests.run("world", command, check=True).stdout):
            found = authentication(text.encode("latin-1"))
            token = next(token for token in (*self.sent, *self.unsent) if token in text)
            assert found is not None, text
            self.verdicts[token] = found

    def arrived(self, *tokens: str) -> bool:
        """Whether all these (or all that were sent) have arrived."""
        self.collect()
        return set(tokens or self.sent) <= self.verdicts.keys()

    def unverified(self) -> list[str]:
        """Those that arrived without two signatures that pass: RSA and Ed25519."""
        return [found.text for found in self.verdicts.values() if found.results("dkim") != ("pass", "pass")]

    def selectors(self, token: str) -> set[str]:
        """Which keys signed it, by the peer's words."""
        found = self.verdicts[token].verdicts
        return {verdict.properties["header.s"] for verdict in found if verdict.method == "dkim"}

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """A letter every second while the context lasts."""
        ended = threading.Event()

        def flow() -> None:
            while not ended.wait(1):
                self.send()

        thread = threading.Thread(target=flow)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


class Held:
    """Recipients at the peer that are told to come back later (450), each for its time."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.names: set[str] = set()
        self.timers: list[threading.Timer] = []
        self.telling = threading.Lock()

    def hold(self, recipient: str, seconds: float) -> str:
        """From now on, and for so long."""
        self._tell(self.names | {recipient})
        self.timers.append(threading.Timer(seconds, lambda: self._tell(self.names - {recipient})))
        self.timers[-1].start()
        return recipient

    def _tell(self, names: set[str]) -> None:
        with self.telling:
            self.names = names
            self._set()

    def _set(self) -> None:
        lines = ", ".join(f"{{{name}=450 4.2.1 come back later}}" for name in self.names)
        setting = f"smtpd_recipient_restrictions=check_recipient_access inline:{{ {lines} }}"
        change = f"postconf -e '{setting}'" if lines else "postconf -X smtpd_recipient_restrictions"
        self.lab.inside("world", f"{change} && postfix reload 2>/dev/null")


@contextmanager
def holding(lab: Lab) -> Iterator[Held]:
    """Recipients may be held back while the context lasts."""
    held = Held(lab)
    try:
        yield held
    finally:
        for timer in held.timers:
            timer.cancel()
            timer.join()
        lab.inside("world", "postconf -X smtpd_recipient_restrictions; postfix reload 2>/dev/null")


@contextmanager
def stale_secondary(lab: Lab) -> Iterator[str]:
    """BIND hears nothing of its primary while the context lasts, and serves what it has; its address."""
    world = ["nsenter", f"--net={network.NAMESPACES}/{PREFIX}world", "nft"]
    rules = """table inet stale {
        chain output {
            type filter hook output priority 0;
            ip saddr 10.77.0.101 ip daddr 10.77.0.100 drop
            ip saddr 10.77.0.100 ip daddr 10.77.0.101 drop
        }
    }
    """
    subprocess.run([*world, "-f", "-"], input=rules, text=True, check=True)
    try:
        yield "10.77.0.101"
    finally:
        subprocess.run([*world, "delete", "table", "inet", "stale"], check=True)
        lab.inside("world", "knotc zone-notify")


def keys(lab: Lab, owner: str, algorithm: str) -> list[KeyView]:
    """The keys of one domain and algorithm, the oldest first."""
    found = read_state(ROOT / lab.fleet.state_directory).dkim(owner)
    return sorted(
        (key for key in found if key.algorithm == algorithm), key=lambda key: (key.minted, key.step)
    )


def state_of(lab: Lab, key: KeyView) -> str:
    """Where a key is now."""
    return next(str(k.state) for k in keys(lab, key.owner, key.algorithm) if k.label == key.label)


def killed(inventory: Path, where: str) -> bool:
    """Run `mxfleet tend` and kill it and all it started: when it has written to the ledger, or amid its deploy.

    Whether it lived long enough to be killed there; it ends by itself where it does not come to that.
    """
    ledger = ROOT / "state" / "lab" / LEDGER
    size = ledger.stat().st_size
    process = subprocess.Popen(
        [str(SCRIPTS / "mxfleet"), "tend"],
        cwd=ROOT, env=os.environ | {"MXFLEET_FLEET": str(inventory)}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None:
        if where == "ledger" and ledger.stat().st_size > size:
            break
        if where == "deploy" and _deploys(process.pid):
            time.sleep(2)
            break
        time.sleep(0.01)
    alive = process.poll() is None
    if alive:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return alive


def _deploys(pid: int) -> bool:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return any(b"deploy.py" in Path(f"/proc/{child}/cmdline").read_bytes() for child in children)
