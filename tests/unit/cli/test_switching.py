"""Which keys go to which node when one is in other hands, and what is said where that fails; ssh is not real."""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

import mxfleet.cli.status
from mxfleet.cli.switching import SECONDS, switch
from mxfleet.doctor.standing import Ask
from mxfleet.fleet import Fleet, Node
from mxfleet.fleet.load import load_file
from mxfleet.keys.dkim import mint_sealed
from mxfleet.keys.facts import Moved
from mxfleet.keys.ledger import writing
from mxfleet.keys.lifecycle import KeyState
from mxfleet.keys.prepare import prepare_state
from mxfleet.keys.sight import NodeSight
from mxfleet.keys.vault import Vault

FLEET = load_file(Path(__file__).resolve().parents[3] / "inventories" / "lab.py")
GONE = "gone.test"


def clock() -> datetime:
    return datetime.now(UTC)


@dataclass
class Stand:
    """A ledger in which three domains sign, of which one has left the fleet; what each node was sent and answers."""

    root: Path
    vault: Vault
    secrets: dict[tuple[str, str], str] = field(default_factory=dict)
    sent: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)

    def switch(self, *seen: NodeSight) -> str:
        return switch(FLEET, self.vault, self.root, seen)

    def of(self, *domains: str) -> set[str]:
        """The private keys of these domains."""
        return {secret for (domain, _), secret in self.secrets.items() if domain in domains}

    def got(self, node: str) -> set[str]:
        return {secret for secret in self.secrets.values() if secret in self.sent[node]}


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    prepare_state(FLEET, {account.address: "a long password" for account in FLEET.accounts}, clock, tmp_path)
    made = Stand(tmp_path, Vault.of(FLEET, tmp_path))
    with writing(tmp_path / FLEET.state_directory, clock, "test", FLEET.name) as writer:
        writer.append(mint_sealed(made.vault, GONE, "ed25519", clock()))
        for key in writer.state.dkim():
            writer.append(
                *(Moved(key=key.id, state=s) for s in (KeyState.PUBLISHED, KeyState.VISIBLE, KeyState.ACTIVE))
            )
            made.secrets[key.owner, key.label] = made.vault.read(key.id).decode()
    lock = threading.Lock()

    def ask_by_ssh(fleet: Fleet, seconds: float) -> Ask:
        assert (fleet, seconds) == (FLEET, SECONDS)

        def ask(node: Node, script: str) -> tuple[str, str]:
            with lock:
                made.sent[node.name] = script
            return "", made.answers.get(node.name, "")

        return ask

    monkeypatch.setattr(mxfleet.cli.status, "ask_by_ssh", ask_by_ssh)
    return made


def test_a_node_gets_the_keys_of_the_fleet_s_domains_and_of_those_that_it_still_has(stand: Stand) -> None:
    older = NodeSight("mx1", signing={(GONE, "e1"): "e1"})
    assert stand.switch(older, NodeSight("mx2")) == ""
    assert sorted(stand.sent) == ["mx1", "mx2"]
    assert stand.got("mx1") == stand.of("corp.test", "shop.test", GONE)
    assert stand.got("mx2") == stand.of("corp.test", "shop.test")


def test_each_node_that_did_not_do_it_is_named_with_its_own_words_and_no_key_is(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    stand.answers = {
        "mx1": "mxfleet: held by ops@desk, who deploys this node",
        "mx3": "port 22 does not answer",
    }
    said = stand.switch(NodeSight("mx1"), NodeSight("mx2"), NodeSight("mx3"))
    assert said == "mx1: held by ops@desk, who deploys this node; mx3: port 22 does not answer"
    assert capsys.readouterr() == ("", "")


def test_a_vault_that_does_not_open_is_named_with_the_way_on_and_no_node_is_asked(stand: Stand) -> None:
    stand.vault.identity.unlink()
    said = stand.switch(NodeSight("mx1"))
    assert said.endswith(" — mxfleet dkim init")
    assert str(stand.vault.identity) in said
    assert stand.sent == {}
