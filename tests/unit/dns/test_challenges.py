"""Proofs for a certificate authority: written with the ledger's knowledge, seen everywhere, and taken away again."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rrset
import pytest

from mxfleet.dns import challenges
from mxfleet.dns.activation import Place
from mxfleet.dns.challenges import Challenges
from mxfleet.dns.lookup import Authority
from mxfleet.dns.plan import Change
from mxfleet.dns.providers.protocol import Snapshot
from mxfleet.dns.records import Record, txt
from mxfleet.errors import DnsError
from mxfleet.keys.ledger import Writer, read_state, writing

from .samples import LAB, START

NAME = "_acme-challenge.mx.corp.test"
SERVERS = (Authority("ns1.test", "192.0.2.1"), Authority("ns2.test", "192.0.2.2"))


@dataclass
class Zone:
    """A provider whose second server may lag."""

    records: list[Record] = field(default_factory=list)
    history: list[list[str]] = field(default_factory=list)
    lags: bool = False

    def read(self, zone: str, names: Any = None) -> Snapshot:
        return Snapshot(zone, tuple(r for r in self.records if names is None or r.name in names), 1)

    def apply(self, zone: str, changes: tuple[Change, ...], expect: Snapshot) -> None:
        gone = {c.before.identity for c in changes if c.before}
        self.records = [r for r in self.records if r.identity not in gone]
        self.records += [c.after for c in changes if c.after]
        self.history.append([r.value for r in self.records])

    def ask(self, question: dns.message.Message, address: str, port: int) -> dns.message.Message:
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.AA
        name, kind = question.question[0].name, question.question[0].rdtype
        values = [r.value for r in self.records if r.name == name.to_text(omit_final_dot=True)]
        if values and not (self.lags and address == "192.0.2.2"):
            answer.answer.append(dns.rrset.from_text_list(name, 5, "IN", kind, values))
        return answer


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Zone:
    monkeypatch.setattr(
        challenges, "places_of", lambda fleet, hosts: {host: Place("corp.test", SERVERS) for host in hosts}
    )
    return Zone()


def proofs(zone: Zone, writer: Writer) -> Challenges:
    return Challenges(LAB, writer, {"corp.test": zone}, patience=0, ask=zone.ask)  # type: ignore[dict-item]


def test_a_proof_is_published_seen_everywhere_and_gone_afterwards(zone: Zone, tmp_path: Path) -> None:
    zone.records = [txt(NAME, 5, b"somebody else's")]
    with writing(tmp_path, lambda: START, "test", "lab") as writer:
        made = proofs(zone, writer)
        assert made.present({"mx.corp.test": b"proof"}) == {}
        assert zone.history == [['"somebody else\'s"', '"proof"']]
        made.remove()
    assert [r.value for r in zone.records] == ['"somebody else\'s"']
    assert not read_state(tmp_path).records


def test_a_server_that_lags_is_named_before_the_authority_is_asked(zone: Zone, tmp_path: Path) -> None:
    zone.lags = True
    with writing(tmp_path, lambda: START, "test", "lab") as writer:
        trouble = proofs(zone, writer).present({"mx.corp.test": b"proof"})
    assert trouble["mx.corp.test"].startswith(
        f"the proof by DNS ({NAME}): ns2.test (192.0.2.2) does not have it"
    )


def test_a_proof_that_a_command_left_as_it_died_goes_with_the_next(zone: Zone, tmp_path: Path) -> None:
    with writing(tmp_path, lambda: START, "test", "lab") as writer:
        proofs(zone, writer).present({"mx.corp.test": b"old"})
    with writing(tmp_path, lambda: START, "test", "lab") as writer:
        made = proofs(zone, writer)
        made.present({"mx.corp.test": b"new"})
        assert [r.value for r in zone.records] == ['"new"']
        made.remove()
    assert zone.records == []


def test_a_name_in_no_zone_of_the_fleet_is_said_to_be(zone: Zone, tmp_path: Path) -> None:
    with writing(tmp_path, lambda: START, "test", "lab") as writer:
        made = replace(proofs(zone, writer), providers={})
        assert made.present({"mx.corp.test": b"proof"}) == {
            "mx.corp.test": f"the proof by DNS needs {NAME}, which lies in no zone of the fleet"
        }


def test_a_proof_that_cannot_be_taken_away_costs_no_certificate_and_goes_with_the_next(
    zone: Zone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise DnsError("ns1.test does not answer")

    with writing(tmp_path, lambda: START, "test", "lab") as writer:
        made = proofs(zone, writer)
        made.present({"mx.corp.test": b"old"})
        with monkeypatch.context() as patch:
            patch.setattr(zone, "apply", away)
            made.remove()
        assert [r.value for r in zone.records] == ['"old"']
        proofs(zone, writer).present({"mx.corp.test": b"new"})
    assert [r.value for r in zone.records] == ['"new"']
