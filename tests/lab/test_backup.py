"""A backup is worth what its restore gives back: queues, vault and ledger, and both without the vault."""

import json
import sqlite3
from pathlib import Path

from mxfleet.lab.letters import PEER_USER, Post, compose, new_token
from tests.lab.running import ROOT, Lab


def test_what_is_saved_is_listed_and_comes_back_whole(lab: Lab, tmp_path: Path) -> None:
    saved = lab.mxfleet("backup", "now", "--json")
    assert saved.returncode == 0, saved.stderr
    names = [entry["of"] for entry in json.loads(saved.stdout)]
    assert names == ["operator", *(node.name for node in lab.fleet.nodes)]
    listed = json.loads(lab.mxfleet("backup", "list", "--json").stdout)
    assert {entry["id"] for entry in json.loads(saved.stdout)} <= {entry["id"] for entry in listed}

    done = lab.mxfleet("backup", "restore", "--to", str(tmp_path / "all"))
    assert done.returncode == 0, done.stderr
    state, restored = ROOT / lab.fleet.state_directory, tmp_path / "all" / "operator"
    secrets = sorted((state / "vault").rglob("*.age"))
    assert secrets
    for path in [*secrets, state / "ledger.jsonl"]:
        assert (restored / path.relative_to(state)).read_bytes() == path.read_bytes(), path
    for node in lab.fleet.nodes:
        spool = tmp_path / "all" / node.name / "spool.sqlite"
        assert spool.stat().st_mode & 0o077 == 0
        with sqlite3.connect(spool) as database:
            live = lab.inside(node.name, "sqlite3 -readonly /var/lib/mxd/spool.sqlite .schema")
            tables = [
                name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
        assert tables
        assert all(name in live for name in tables)


def test_a_lost_vault_is_restored_with_the_identity_alone(lab: Lab, tmp_path: Path) -> None:
    assert lab.mxfleet("backup", "now").returncode == 0
    vault = ROOT / lab.fleet.state_directory / "vault"
    away = vault.with_name("vault-away-for-a-test")
    vault.rename(away)
    try:
        done = lab.mxfleet("backup", "restore", "--to", str(tmp_path / "all"))
    finally:
        away.rename(vault)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "all" / "operator" / "vault" / "backup" / "password.age").exists()


def test_restoring_over_something_is_refused(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    done = lab.mxfleet("backup", "restore", "--to", str(tmp_path))
    assert done.returncode == 1
    assert "is not empty" in done.stderr


def test_a_saved_queue_goes_back_onto_its_node_and_is_delivered(lab: Lab, post: Post) -> None:
    """Saved while a letter waits for an office that is cut off; put back after it was delivered: it comes again."""
    node, token = lab.roll_order()[0], new_token()

    def waiting() -> int:
        return len(json.loads(lab.inside(node, "mxd queue list --json")))

    lab.until("nothing waits", lambda: waiting() == 0, 60)
    try:
        assert lab.mxfleet("lab", "cut", "office").returncode == 0
        address = str(lab.fleet.node(node).address4)
        message = compose(PEER_USER, post.user, token)
        sent = post.ask(
            "world", "send", host=address, port=25, sender=PEER_USER, recipient=post.user, message=message
        )
        assert sent["code"] == 250, sent
        lab.until("the letter has been tried", lambda: waiting() == 1)
        assert lab.mxfleet("backup", "now").returncode == 0
        refused = lab.mxfleet("backup", "restore-queue", node)
        assert refused.returncode == 1
        assert "deliveries wait there (1)" in refused.stderr
    finally:
        assert lab.mxfleet("lab", "heal").returncode == 0
    lab.until("the letter is delivered", lambda: waiting() == 0, 60)
    done = lab.mxfleet("backup", "restore-queue", node, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["waiting"] in (0, 1)  # 0: it was quick
    lab.until("it is delivered again", lambda: waiting() == 0, 60)
    found = lab.inside("office", f"grep -rlsF -- {token} /var/mail/office | grep -c /new/")
    assert int(found) == 2
    lab.inside(node, "rm -f /var/lib/mxd/spool.sqlite.before-*")
    assert lab.mxfleet("drift").returncode == 0
