"""A certificate made elsewhere: what is promised of it is what `tend` then does."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mxfleet.errors import StateError
from mxfleet.fleet.policy import KeyPeriods
from mxfleet.keys.authority import issue, make_authority
from mxfleet.keys.facts import Issued, Moved
from mxfleet.keys.ledger import Writer, writing
from mxfleet.keys.lifecycle import KeyState
from mxfleet.keys.needs import Hosts
from mxfleet.keys.renewal import renewals
from mxfleet.keys.rotation import Call
from mxfleet.keys.sight import NodeSight, Observation
from mxfleet.keys.state import KeyView
from mxfleet.keys.tls import bring

S = KeyState
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
MX = "mx.corp.test"
HOSTS = Hosts({MX: ("mx1",)}, bound=frozenset({MX}), ttl=5)
AUTHORITY = make_authority("elsewhere", NOW)


def certificate() -> Issued:
    return issue(AUTHORITY, MX, NOW)[0]


@dataclass
class Book:
    """A ledger whose exchange is served an imported certificate, and has been brought another one."""

    root: Path
    now: datetime = NOW
    first: Issued = field(default_factory=certificate)
    second: Issued = field(default_factory=certificate)

    def bring(self, fact: Issued) -> bool:
        with self.writer() as writer:
            return bring(writer, fact, HOSTS)

    def move(self, *steps: KeyState) -> None:
        with self.writer() as writer:
            for step in steps:
                writer.append(Moved(key=self.key(writer).id, state=step))

    def key(self, writer: Writer) -> KeyView:
        return next(key for key in writer.state.tls(MX) if key.spki == self.second.spki)

    def writer(self) -> AbstractContextManager[Writer]:
        return writing(self.root, lambda: self.now, "test", "lab")


@pytest.fixture
def book(tmp_path: Path) -> Book:
    made = Book(tmp_path)
    assert made.bring(made.first) is False  # nothing is served yet: it is, at once
    assert made.bring(made.second) is True
    return made


@pytest.mark.parametrize("steps", [(), (S.PUBLISHED,), (S.PUBLISHED, S.VISIBLE, S.STANDBY)])
def test_another_certificate_for_a_key_that_is_still_to_come_waits_with_it(
    book: Book, steps: tuple[KeyState, ...]
) -> None:
    book.move(*steps)
    assert book.bring(book.second) is True
    with book.writer() as writer:
        assert writer.state.served(MX) == book.first


def test_the_key_that_waits_is_called_with_the_certificate_that_was_brought(book: Book) -> None:
    book.move(S.PUBLISHED, S.VISIBLE, S.STANDBY)
    with book.writer() as writer:
        key = book.key(writer)
        seen = Observation((NodeSight("mx1", clock=NOW),), {k.id: () for k in writer.state.tls()})
        decision = renewals(writer.state, seen, KeyPeriods(), NOW, HOSTS)
    assert Call(key) in decision.steps


def test_a_certificate_for_the_key_that_is_served_is_served_at_once(book: Book) -> None:
    book.move(S.PUBLISHED, S.VISIBLE, S.STANDBY)
    with book.writer() as writer:
        [old] = [key for key in writer.state.tls(MX) if key.state is S.ACTIVE]
        assert old.spki == book.first.spki
    assert book.bring(book.first) is False


@pytest.mark.parametrize("state", [S.DRAINING, S.REVOKED, S.REMOVED])
def test_a_certificate_for_a_key_that_was_replaced_is_refused(book: Book, state: KeyState) -> None:
    with book.writer() as writer:
        [old] = [key for key in writer.state.tls(MX) if key.state is S.ACTIVE]
        for step in (S.DRAINING, S.REVOKED, S.REMOVED):
            writer.append(Moved(key=old.id, state=step))
            if step is state:
                break
        before = len(writer.state.obtained)
    sentence = (
        f"the key of this certificate, {old.label} of {MX}, was replaced and is {state}: it would not be served "
        "— have a certificate made with another key, and import that"
    )
    with pytest.raises(StateError, match=sentence):
        book.bring(book.first)
    with book.writer() as writer:
        assert len(writer.state.obtained) == before


def test_a_certificate_that_would_have_to_wait_and_ends_soon_is_refused(book: Book) -> None:
    book.now = NOW + timedelta(days=61)
    with pytest.raises(
        StateError, match="less than a third of its life is left, and its key is not served yet"
    ):
        book.bring(book.second)
    assert book.bring(book.first) is False
