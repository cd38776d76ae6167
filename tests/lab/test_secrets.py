"""Show 7: while secrets are deployed through sudo, nobody else ever sees one, on the node or in any output."""

import base64
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from mxfleet.keys.accounts import hash_password
from mxfleet.keys.ledger import read_signing
from mxfleet.keys.vault import Vault
from mxfleet.lab import guests
from mxfleet.lab.letters import Post
from mxfleet.lab.state import DIRECTORY
from tests.lab.running import INVENTORY, ROOT, Lab

NODE = "mx1"
WATCHER = Path(__file__).with_name("watcher.py").read_text()
LONGEST = 150
STOP = "/run/stop-watching"


class Watching:
    """What `nobody` on the node could read while the context lasted, after `end`."""

    def __init__(self, future: "Future[str]") -> None:
        self.future = future

    def places(self) -> list[str]:
        *places, rounds = self.future.result(timeout=LONGEST + 10).splitlines()
        assert int(rounds.removeprefix("rounds ")) > 10, "it has hardly looked"
        return places


@contextmanager
def watching(lab: Lab, words: list[str]) -> Iterator[Watching]:
    """An ordinary user of the node looks for the words in files and processes, over and over."""
    given = "".join(f"{word}\n" for word in words).encode()

    def watch() -> str:
        command = ["python3", "-c", WATCHER, str(LONGEST)]
        return guests.run(NODE, command, input=given, timeout=LONGEST + 20, check=True).stdout.decode()

    lab.inside(NODE, f"rm -f {STOP}")
    with ThreadPoolExecutor(1) as pool:
        try:
            yield Watching(pool.submit(watch))
        finally:
            lab.inside(NODE, f"touch {STOP}")
    lab.inside(NODE, f"rm -f {STOP}")


@pytest.fixture
def changed(lab: Lab, post: Post) -> Iterator[list[str]]:
    """Words of secrets that the next deploy brings: a new hash of a user's password, and every private key.

    The hash is of the same password, so that nothing else notices; afterwards the old one is deployed again.
    """
    vault = Vault.of(lab.fleet, ROOT)
    account = lab.fleet.accounts[-1]
    old = vault.read(account.secret.name)
    vault.write(account.secret.name, hash_password(post.passwords[account.address]).encode())
    yield [*secret_words(lab, vault), post.passwords[account.address]]
    vault.write(account.secret.name, old)
    lab.deploy()


def secret_words(lab: Lab, vault: Vault) -> list[str]:
    """A telling piece of each secret of the fleet: the hash's last part, a line in the middle of a key."""
    signing = read_signing(ROOT / lab.fleet.state_directory)
    keys = [key.secret.name for key in signing.dkim] + [one.secret.name for one in signing.certificates]
    words = [vault.read(name).decode().splitlines()[1][:40] for name in keys]
    words += [vault.read(account.secret.name).decode().rpartition("$")[2] for account in lab.fleet.accounts]
    words.append(vault.read(lab.fleet.backup.secret.name).decode().strip())
    assert all(len(word) >= 12 for word in words)
    return words


def test_the_watcher_sees_a_word_that_lies_open_or_stands_in_a_process_list_for_a_moment(lab: Lab) -> None:
    """Else the tests below could not fail."""
    with watching(lab, ["a-word-that-lies-open"]) as watch:
        lab.inside(NODE, "sleep 1; cat > /tmp/open; sleep 0.1; rm /tmp/open", b"a-word-that-lies-open\n")
        lab.inside(NODE, "sleep 0.1; : a-word-that-lies-open")
        lab.inside(NODE, f"touch {STOP}")
        file, *processes = sorted(watch.places(), reverse=True)
    assert file == "/tmp/open"
    assert processes
    assert all(place.startswith("/proc/") for place in processes)


def test_no_secret_is_to_be_seen_while_a_deploy_changes_one(lab: Lab, changed: list[str]) -> None:
    with watching(lab, changed) as watch:
        done = lab.deploy()
        lab.inside(NODE, f"touch {STOP}")
        assert arrived(lab, changed)
        assert watch.places() == []
    assert [word for word in changed if word in done.stdout + done.stderr] == []
    assert in_the_journal(lab, changed) == []


def test_the_words_of_pyinfra_hold_no_secret_even_where_it_shows_everything(
    lab: Lab, changed: list[str]
) -> None:
    with watching(lab, changed) as watch:
        done = lab.command("pyinfra", "-y", "-vvv", "--diff", "--debug", str(INVENTORY), "deploy.py")
        lab.inside(NODE, f"touch {STOP}")
        assert arrived(lab, changed)
        assert watch.places() == []
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-2000:]
    encoded = [base64.b64encode(word.encode()).decode().rstrip("=")[:-2] for word in changed]
    assert [word for word in [*changed, *encoded] if word in said] == []
    assert in_the_journal(lab, changed) == []


SEARCH = """
cat > /run/sought && trap 'rm -f /run/sought' EXIT
grep -rlaF -f /run/sought --exclude=sought --devices=skip /etc /home /opt /root /run /srv /tmp /usr/local /var
grep -laF -f /run/sought /proc/[0-9]*/cmdline /proc/[0-9]*/environ
true
"""


def places(lab: Lab, node: str, words: list[str]) -> list[str]:
    """Where root itself finds one of the words on a node: files, arguments, environments."""
    return lab.inside(
        node, f"{{ {SEARCH} }} 2>/dev/null", "".join(f"{word}\n" for word in words).encode()
    ).split()


def test_no_credential_of_dns_acme_or_vault_is_anywhere_on_a_node_even_for_root(lab: Lab) -> None:
    vault = Vault.of(lab.fleet, ROOT)
    assert lab.fleet.acme
    words = [
        (DIRECTORY / "tsig.secret").read_text().strip(),
        vault.read(lab.fleet.acme.secret.name).decode().splitlines()[1],
        Path(ROOT / lab.fleet.vault.identity.path).read_text().strip().splitlines()[-1],
    ]
    assert all(len(word) >= 40 for word in words)
    account = vault.read(lab.fleet.accounts[0].secret.name).decode().rpartition("$")[2]
    for node in lab.fleet.nodes:
        assert "/etc/mxfleet/accounts.toml" in places(
            lab, node.name, [account]
        )  # else it finds nothing at all
        assert places(lab, node.name, words) == []
    assert in_the_journal(lab, words) == []


def arrived(lab: Lab, words: list[str]) -> bool:
    """Whether the new hash is on the node: else there was nothing to be seen."""
    told = lab.inside(NODE, "cat /etc/mxfleet/accounts.toml")
    return len([word for word in words if word in told]) == len(lab.fleet.accounts)


def in_the_journal(lab: Lab, words: list[str]) -> list[str]:
    """Which words stand in a node's journal."""
    told = "".join(lab.inside(node.name, "journalctl -o cat --no-pager -a") for node in lab.fleet.nodes)
    return [word for word in words if word in told]
