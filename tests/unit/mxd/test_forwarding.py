"""Mail that goes on to another domain, and its bounces."""

import pytest

from mxfleet.mail.address import Mailbox, parse_mailbox
from mxfleet.mail.aliases import Names
from mxfleet.mail.srs import DAY, SrsError
from mxfleet.mxd import policy
from mxfleet.mxd.directory import Directory
from mxfleet.mxd.forwarding import (
    NOT_REWRITTEN_HERE,
    ONLY_BOUNCES,
    TOO_LONG,
    Forwarding,
    recipient,
    reverse_path,
)
from mxfleet.mxd.routing_settings import ForwardingSettings
from mxfleet.mxd.wildcards import Wildcards

NOW = 1_800_000_000.0
KEYS = b"the-first-key-long-enough the-second-key-long-enough\n"
CAROL, SENDER = parse_mailbox("carol@peer.test"), parse_mailbox("Dave.X@a.test")
DIRECTORY = Directory(
    Wildcards(
        {
            "corp.test": Names(frozenset({"alice"})),
            "shop.test": Names(frozenset({"sales"}), {"sales": (parse_mailbox("sales@shop.test"), CAROL)}),
        }
    )
)
FORWARDING = Forwarding.of(ForwardingSettings(domain="corp.test", keys="", days=21), KEYS)


def to(
    address: str, sender: Mailbox | None = SENDER, now: float = NOW, *, authenticated: bool = False
) -> object:
    mailbox = parse_mailbox(address)
    return recipient(DIRECTORY, FORWARDING, mailbox, sender, now, authenticated=authenticated)[1]


def test_a_forward_is_taken_from_everybody_and_nothing_else_is_relayed() -> None:
    assert to("sales@shop.test") == (parse_mailbox("sales@shop.test"), CAROL)
    assert to("carol@peer.test") == policy.RELAYING_DENIED
    assert to("carol@peer.test", authenticated=True) == (CAROL,)


def test_its_reverse_path_is_ours_and_brings_the_bounce_back() -> None:
    both = (parse_mailbox("sales@shop.test"), CAROL)
    given = reverse_path(DIRECTORY, FORWARDING, SENDER, both, NOW)
    assert given.startswith("SRS0=")
    assert given.endswith("=a.test=Dave.X@corp.test")
    assert to(given, None, NOW + 20 * DAY) == (SENDER,)
    assert to(given.lower(), None) == (parse_mailbox("dave.x@a.test"),)
    assert to(given, SENDER) == ONLY_BOUNCES


def test_what_stays_here_keeps_its_reverse_path_and_the_null_path_stays_null() -> None:
    assert reverse_path(DIRECTORY, FORWARDING, SENDER, (parse_mailbox("alice@corp.test"),), NOW) == ""
    assert reverse_path(DIRECTORY, FORWARDING, None, (CAROL,), NOW) == ""


@pytest.mark.parametrize("authenticated", [False, True])
def test_old_and_forged_reverse_paths_relay_nothing(authenticated: bool) -> None:
    given = reverse_path(DIRECTORY, FORWARDING, SENDER, (CAROL,), NOW)
    forged = given.replace("Dave.X", "victim")
    assert to(given, None, NOW + 23 * DAY, authenticated=authenticated) == NOT_REWRITTEN_HERE
    assert to(forged, None, authenticated=authenticated) == NOT_REWRITTEN_HERE
    assert to("SRS0=AAAAAA=AA=peer.test=carol@corp.test", None) == NOT_REWRITTEN_HERE
    assert to("SRS1=AAAAAA=peer.test==BBBBBB=AA=x.test=carol@corp.test", None) == NOT_REWRITTEN_HERE
    assert to(given.replace("corp.test", "shop.test"), None) == policy.NO_SUCH_MAILBOX


def test_a_bounce_for_one_of_ours_goes_to_who_is_behind_the_address() -> None:
    given = reverse_path(DIRECTORY, FORWARDING, parse_mailbox("sales@shop.test"), (CAROL,), NOW)
    assert to(given, None) == (parse_mailbox("sales@shop.test"), CAROL)
    gone = reverse_path(DIRECTORY, FORWARDING, parse_mailbox("gone@shop.test"), (CAROL,), NOW)
    assert to(gone, None) == policy.NO_SUCH_MAILBOX


def test_a_changed_key_still_recognises_what_the_old_one_signed() -> None:
    given = reverse_path(DIRECTORY, FORWARDING, SENDER, (CAROL,), NOW)
    new = ForwardingSettings(domain="corp.test", keys="")
    changed = Forwarding.of(new, b"a-newer-key-just-as-long\n" + KEYS)
    assert changed.returned(parse_mailbox(given), None, NOW) == SENDER
    dropped = Forwarding.of(new, b"a-newer-key-just-as-long\n")
    assert dropped.returned(parse_mailbox(given), None, NOW) == NOT_REWRITTEN_HERE


def test_an_address_too_long_to_be_rewritten_is_refused_before_the_message() -> None:
    sender = Mailbox("x" * 64, f"{'y' * 60}.{'z' * 60}.{'w' * 60}.test")
    assert to("sales@shop.test", sender) == TOO_LONG
    assert to("alice@corp.test", sender) == (parse_mailbox("alice@corp.test"),)


def test_keys_that_could_be_guessed_are_refused() -> None:
    with pytest.raises(SrsError, match="16 octets"):
        Forwarding.of(ForwardingSettings(domain="corp.test", keys=""), b"short\n")


def test_who_is_meant_by_a_reverse_path_of_ours_is_whom_it_brings_back() -> None:
    given = parse_mailbox(reverse_path(DIRECTORY, FORWARDING, SENDER, (CAROL,), NOW))
    for mailbox, meant in ((given, SENDER), (CAROL, CAROL)):
        assert recipient(DIRECTORY, FORWARDING, mailbox, None, NOW, authenticated=False)[0] == meant


def test_without_forwarding_nothing_goes_on() -> None:
    sales = parse_mailbox("sales@shop.test")
    _, found = recipient(DIRECTORY, None, sales, SENDER, NOW, authenticated=False)
    assert found == policy.RELAYING_DENIED
