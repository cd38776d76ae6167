"""Sender rewriting: there and back, through any number of forwarders, and nothing else gets back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxfleet.mail.address import Mailbox, parse_mailbox
from mxfleet.mail.srs import DAY, Rewriter, SrsError, is_rewritten

NOW = 1_795_500_000.0
F, G, H = (Rewriter(f"{name}.test", (name.encode() * 16,)) for name in "fgh")
ALICE = Mailbox("alice", "a.test")
locals_ = st.text(st.sampled_from('ab=+-. "\\éSR01'), min_size=1, max_size=20)


def test_an_address_is_rewritten_to_its_shape_and_back() -> None:
    rewritten = F.forward(ALICE, NOW)
    assert rewritten == Mailbox("SRS0=GMNMZC=JN=a.test=alice", "f.test")
    assert F.reverse(rewritten, NOW + 20 * DAY) == ALICE


def test_the_null_path_and_our_own_addresses_stay() -> None:
    assert F.forward(None, NOW) is None
    assert F.forward(Mailbox("x", "f.test"), NOW) == Mailbox("x", "f.test")


def test_a_chain_of_forwarders_does_not_grow_and_leads_back_over_the_first() -> None:
    first = F.forward(ALICE, NOW)
    second = G.forward(first, NOW)
    third = H.forward(second, NOW)
    assert first is not None
    assert second is not None
    assert third is not None
    assert third.local.startswith("SRS1=")
    assert third.local[11:] == second.local[11:] == "=f.test=" + first.local[4:]
    assert H.reverse(third, NOW) == first == G.reverse(second, NOW)
    assert F.reverse(first, NOW) == ALICE


@given(locals_, st.floats(0, 4e9), st.floats(0, 21 * DAY))
def test_whatever_is_rewritten_comes_back(local: str, now: float, later: float) -> None:
    sender = Mailbox(local, "sub.a.test")
    for chain in ((F,), (F, G), (F, G, H)):
        path = sender
        for forwarder in chain:
            found = forwarder.forward(path, now)
            assert found is not None
            path = parse_mailbox(str(found))  # as it comes over the wire
            assert path.domain == forwarder.domain
        for forwarder in (chain[-1], chain[0])[: len(chain)]:
            path = forwarder.reverse(path, now + later)
        assert path == sender


@given(st.sampled_from([F, G]), st.integers(0, 60), st.sampled_from("x=A7"))
def test_nothing_else_comes_back(forwarder: Rewriter, at: int, character: str) -> None:
    first = F.forward(ALICE, NOW)
    rewritten = first if forwarder is F else G.forward(first, NOW)
    assert rewritten is not None
    local = rewritten.local
    changed = local[:at] + character + local[at + 1 :]
    if changed.lower() == local.lower() or at == 4:  # the first separator is nobody's business
        return
    with pytest.raises(SrsError):
        forwarder.reverse(Mailbox(changed, rewritten.domain), NOW)


def test_case_makes_no_difference_for_some_hosts_change_it() -> None:
    rewritten = F.forward(ALICE, NOW)
    assert rewritten is not None
    assert F.reverse(Mailbox(rewritten.local.lower(), "f.test"), NOW) == ALICE
    assert F.reverse(Mailbox(rewritten.local.upper(), "f.test"), NOW).canonical == ALICE.canonical


def test_an_address_ends_after_its_days() -> None:
    rewritten = F.forward(ALICE, NOW)
    assert rewritten is not None
    assert F.reverse(rewritten, NOW - DAY) == ALICE
    for wrong in (NOW + 22 * DAY, NOW - 2 * DAY, NOW + 500 * DAY):
        with pytest.raises(SrsError, match="21 days"):
            F.reverse(rewritten, wrong)


def test_keys_can_be_changed() -> None:
    rewritten = F.forward(ALICE, NOW)
    assert rewritten is not None
    changed = Rewriter("f.test", (b"n" * 16, *F.keys))
    assert changed.reverse(rewritten, NOW) == ALICE
    assert changed.forward(ALICE, NOW) != rewritten
    with pytest.raises(SrsError, match="not from us"):
        Rewriter("f.test", (b"n" * 16,)).reverse(rewritten, NOW)
    with pytest.raises(SrsError, match="not from us"):
        Rewriter("other.test", F.keys).reverse(rewritten, NOW)


def test_other_forwarders_separators_are_kept() -> None:
    theirs = Mailbox("srs0+aB3d=zz=a.test=alice", "other.test")
    assert is_rewritten(theirs)
    rewritten = F.forward(theirs, NOW)
    assert rewritten is not None
    assert rewritten.local[11:] == "=other.test=+aB3d=zz=a.test=alice"
    assert F.reverse(rewritten, NOW) == Mailbox("SRS0+aB3d=zz=a.test=alice", "other.test")


@pytest.mark.parametrize("local", ["alice", "SRS0=", "SRS0=x=y=z", "SRS1=AAAAAA=x", "SRSalice"])
def test_what_is_no_rewritten_address_is_refused(local: str) -> None:
    with pytest.raises(SrsError):
        F.reverse(Mailbox(local, "f.test"), NOW)


def test_what_gets_too_long_is_refused_and_keys_that_are_too_short_too() -> None:
    with pytest.raises(SrsError, match="too long"):
        F.forward(Mailbox("a" * 230, "b.test"), NOW)
    for keys in ((), (b"short",), (b"n" * 16, b"")):
        with pytest.raises(SrsError, match="at least one key"):
            Rewriter("f.test", keys)
