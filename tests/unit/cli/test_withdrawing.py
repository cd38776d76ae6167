"""`dkim compromise` says of each key what was done about it and what was not, and fails where something was not."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import mxfleet.cli.dkim
from mxfleet.cli import main
from mxfleet.cli.tending import Live
from mxfleet.cli.withdrawing import troubling
from mxfleet.errors import StateError
from mxfleet.fleet.load import load_file
from mxfleet.keys.facts import Called, Minted, Moved
from mxfleet.keys.ledger import read_state, writing
from mxfleet.keys.lifecycle import KeyState
from mxfleet.keys.prepare import prepare_state
from mxfleet.keys.sight import NodeSight
from mxfleet.keys.state import KeyView, State
from mxfleet.keys.vault import Vault

S = KeyState
INVENTORY = Path(__file__).resolve().parents[3] / "inventories" / "single.py"
FLEET = replace(load_file(INVENTORY), zones=(), acme=None)
TO_ACTIVE = (S.PUBLISHED, S.VISIBLE, S.ACTIVE)
TO_STANDBY = (S.PUBLISHED, S.VISIBLE, S.STANDBY)


@dataclass
class Stand:
    """One node, a ledger on disk, no zones of our own; `deaf` is a node that no deploy reaches, `stale` a lagging server, `sealed` a vault that takes nothing."""

    root: Path
    node: NodeSight = field(default_factory=lambda: NodeSight("mx1"))
    switches: int = 0
    deaf: bool = False
    stale: bool = False
    sealed: StateError | OSError | None = None

    @property
    def state(self) -> State:
        return read_state(self.root / FLEET.state_directory)

    def write(self, *facts: Moved | Called) -> None:
        with writing(self.root / FLEET.state_directory, clock, "test", FLEET.name) as writer:
            writer.append(*facts)

    def bring(self, algorithm: str, *steps: KeyState) -> KeyView:
        """A new key of corp.test, taken through these states."""
        vault = Vault.of(FLEET, self.root)
        with writing(self.root / FLEET.state_directory, clock, "test", FLEET.name) as writer:
            fact = mxfleet.keys.dkim.mint_sealed(vault, "corp.test", algorithm, clock())
            writer.append(fact)
        return self.take(f"dkim/corp.test/{fact.label}", *steps)

    def take(self, key: str, *steps: KeyState) -> KeyView:
        for step in steps:
            self.write(Moved(key=key, state=step))
        return next(view for view in self.state.dkim() if view.id == key)

    def bring_up_to_date(self) -> None:
        signers = {(k.owner, k.label): k.spki for k in self.state.signers()}
        called = {(k.owner, k.label): k.spki for k in self.state.called()}
        chains = {c.name: (c.fingerprint, c.spki) for c in self.state.certificates}
        self.node = NodeSight("mx1", signers | called, signers, clock(), chains=chains)


def clock() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    made = Stand(tmp_path)
    passwords = {account.address: "a long password" for account in FLEET.accounts}
    prepare_state(FLEET, passwords, clock, tmp_path)
    for key in made.state.dkim():
        made.take(key.id, *TO_ACTIVE)
    made.bring_up_to_date()

    class Standing(Live):
        def nodes(self) -> tuple[NodeSight, ...]:
            return (made.node,)

        def dissent(self, state: State) -> dict[str, tuple[str, ...]]:
            return {key.id: ("ns2 lags",) if made.stale else () for key in state.dkim()}

        def switch(self, nodes: Sequence[NodeSight]) -> str:
            made.switches += 1
            if made.deaf:
                return "mx1: held by somebody, who deploys this node"
            made.bring_up_to_date()
            return ""

        def mint(self, owner: str, algorithm: str) -> Minted:
            if made.sealed:
                raise made.sealed
            return super().mint(owner, algorithm)

        def deploy(self, nodes: Sequence[str]) -> str:
            raise AssertionError("a lost key waits for no deploy")

    def live(*_: object, **__: object) -> Live:
        return Standing(FLEET, INVENTORY, tmp_path, Vault.of(FLEET, tmp_path), {}, clock=clock)

    monkeypatch.setattr(mxfleet.cli.dkim, "ROOT", tmp_path)
    monkeypatch.setattr(mxfleet.fleet.load, "load_file", lambda _: FLEET)
    monkeypatch.setattr(Live, "of", live)
    monkeypatch.setenv("MXFLEET_FLEET", str(INVENTORY))
    return made


def signer(stand: Stand, algorithm: str = "rsa") -> KeyView:
    return next(k for k in stand.state.signers() if (k.owner, k.algorithm) == ("corp.test", algorithm))


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_key_that_signs_is_left_for_its_spare(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = signer(stand), stand.bring("rsa", *TO_STANDBY)
    assert main(["dkim", "compromise", old.label]) == 0
    lines = said(capsys)
    assert f"corp.test: {old.label} → {new.label}" in lines
    assert any(line.startswith("mx1 left it at once (") for line in lines)
    assert lines[-1] == "revoked in DNS"
    assert not stand.node.holds(old)


def test_of_a_spare_it_is_said_that_no_node_had_it(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    spare = stand.bring("rsa", *TO_STANDBY)
    assert main(["dkim", "compromise", spare.label]) == 0
    assert f"corp.test: {spare.label} did not sign and was on no node: no node is switched" in said(capsys)
    assert stand.switches == 0


def test_a_key_that_was_replaced_is_taken_from_nodes_that_still_sign_with_it(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = signer(stand), stand.bring("rsa", *TO_STANDBY)
    stand.write(Called(key=new.id))
    stand.take(new.id, S.READY, S.ACTIVE)  # and the node was not told yet
    assert main(["dkim", "compromise", old.label]) == 0
    lines = said(capsys)
    assert (
        f"corp.test: {old.label} was replaced before and is active: nodes that still have it are to give it up"
        in lines
    )
    assert any(line.startswith("mx1 left it at once (") for line in lines)
    assert not stand.node.holds(old)
    assert signer(stand).id == new.id


def test_a_called_key_that_lies_on_nodes_is_taken_away_again(stand: Stand) -> None:
    new = stand.bring("rsa", *TO_STANDBY)
    stand.write(Called(key=new.id))
    stand.bring_up_to_date()
    assert stand.node.holds(new)
    assert main(["dkim", "compromise", new.label]) == 0
    assert not stand.node.holds(new)


def test_a_node_that_goes_on_with_a_replaced_key_is_named_and_the_exit_code_is_2(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    old = signer(stand)
    new = stand.bring("rsa", *TO_STANDBY)
    stand.write(Called(key=new.id))
    stand.take(new.id, S.READY, S.ACTIVE)
    stand.take(old.id, S.DRAINING)
    stand.deaf = True
    assert main(["dkim", "compromise", old.label]) == 2
    lines = said(capsys)
    assert "no node was seen to have left it" in lines
    assert f"! mx1 still signs with {old.label}; next: mxfleet tend" in lines


def test_without_a_spare_that_becomes_visible_in_time_the_domain_is_said_to_be_unsigned(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = [signer(stand, "rsa"), signer(stand, "ed25519")]
    stand.stale = True
    assert main(["dkim", "compromise", "--wait", "0", *(key.label for key in lost)]) == 2
    lines = said(capsys)
    for algorithm in ("rsa", "ed25519"):
        assert (
            f"! corp.test has no active {algorithm} key yet: its mail leaves unsigned; next: mxfleet tend"
            in lines
        )
    assert not any(stand.node.holds(key) for key in lost)


def test_without_one_spare_the_other_algorithm_goes_on(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    stand.stale = True
    assert main(["dkim", "compromise", "--wait", "0", signer(stand).label]) == 2
    assert (
        "! corp.test has no active rsa key yet: its mail leaves without that signature; next: mxfleet tend"
        in said(capsys)
    )


NO_VAULT = StateError("identity.txt cannot be read", hint="put it there")
FULL = OSError(28, "No space left on device", "vault")


@pytest.mark.parametrize(
    ("sealed", "why"),
    [
        (NO_VAULT, "identity.txt cannot be read — put it there"),
        (FULL, "[Errno 28] No space left on device: 'vault'; next: mxfleet tend"),
    ],
)
def test_a_key_that_cannot_be_minted_keeps_dns_from_nothing(
    stand: Stand, capsys: pytest.CaptureFixture[str], sealed: StateError | OSError, why: str
) -> None:
    old, new = signer(stand), stand.bring("rsa", *TO_STANDBY)
    stand.sealed = sealed
    assert main(["dkim", "compromise", old.label]) == 2
    lines = said(capsys)
    assert f"corp.test: {old.label} → {new.label}" in lines
    assert any(line.startswith("mx1 left it at once (") for line in lines)
    assert "revoked in DNS" in lines
    assert lines[-1] == f"! {why}"


def test_nor_is_it_the_end_where_mail_leaves_unsigned_until_there_is_one(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    stand.sealed = NO_VAULT
    assert main(["dkim", "compromise", "--wait", "0", signer(stand).label]) == 2
    lines = said(capsys)
    assert "revoked in DNS" in lines
    assert (
        lines.count(f"! {NO_VAULT}") == 2
    )  # when it was to be minted at once, and again while it was waited for
    assert lines[-1].startswith(
        "! corp.test has no active rsa key yet: its mail leaves without that signature"
    )


def test_what_names_its_own_remedy_is_sent_to_no_other() -> None:
    assert troubling("mx1 still has r1") == "! mx1 still has r1; next: mxfleet tend"
    assert troubling("mx1 differs; next: mxfleet deploy") == "! mx1 differs; next: mxfleet deploy"
    assert troubling(str(NO_VAULT)) == f"! {NO_VAULT}"
